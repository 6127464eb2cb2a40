//! Constant arrays: weights, biases, scales.

use std::collections::BTreeSet;

use tinsmith_cost::Packing;

use super::text::{Text, float};
use crate::kernel::{Encoding, IntegerKernel, Kernel};

/// Constants of a network and the functions that read them.
#[derive(Debug)]
pub(super) struct ReadOnly {
    packing: Packing,
    text: Text,
    functions: Text,
    /// Names of the helper functions written so far.
    written: BTreeSet<String>,
    bytes: u64,
}

/// Expression for an element of a constant, with `{}` in place of its index.
#[derive(Debug, Clone)]
pub(super) struct Access(String);

impl Access {
    /// Returns the expression for the element at `index`.
    pub(super) fn at(&self, index: &str) -> String {
        self.0.replace("{}", index)
    }
}

impl ReadOnly {
    pub(super) fn new(packing: Packing) -> Self {
        Self {
            packing,
            text: Text::default(),
            functions: Text::default(),
            written: BTreeSet::new(),
            bytes: 0,
        }
    }

    pub(super) fn text(&self) -> &Text {
        &self.text
    }

    pub(super) fn functions(&self) -> &Text {
        &self.functions
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn array(&mut self, kind: &str, width: usize, name: &str, values: &[String]) {
        self.bytes += (values.len() * width) as u64;
        self.text.line(&format!("static const {kind} {name}[{}] = {{", values.len()));
        for row in values.chunks(16) {
            self.text.line(&format!("    {},", row.join(", ")));
        }
        self.text.line("};");
        self.text.line("");
    }

    /// Writes floats; returns a literal if all are equal.
    pub(super) fn floats(&mut self, name: &str, values: &[f32]) -> Access {
        if let Some(first) =
            values.first().filter(|first| values.iter().all(|v| v.to_bits() == first.to_bits()))
        {
            return Access(float(*first));
        }
        self.array("float", 4, name, &values.iter().map(|v| float(*v)).collect::<Vec<_>>());
        Access(format!("{name}[{{}}]"))
    }

    /// Writes integers in the smallest type that holds them; returns a literal if all are equal.
    pub(super) fn integers(&mut self, name: &str, values: &[i64]) -> Access {
        if let Some(first) = values.first().filter(|first| values.iter().all(|v| v == *first)) {
            return Access(if *first < 0 { format!("({first})") } else { first.to_string() });
        }
        self.store(name, values);
        Access(format!("{name}[{{}}]"))
    }

    fn store(&mut self, name: &str, values: &[i64]) {
        let bounds = values.iter().min().copied().zip(values.iter().max().copied());
        let (low, high) = bounds.expect("invariant: constants are not empty");
        let fits = |l: i64, h: i64| low >= l && high <= h;
        let (kind, width) = if fits(-128, 127) {
            ("int8_t", 1)
        } else if fits(0, 255) {
            ("uint8_t", 1)
        } else if fits(-32_768, 32_767) {
            ("int16_t", 2)
        } else if fits(-2_147_483_647, 2_147_483_647) {
            ("int32_t", 4)
        } else {
            ("int64_t", 8)
        };
        self.array(kind, width, name, &values.iter().map(i64::to_string).collect::<Vec<_>>());
    }

    /// Writes a kernel: float values, or integer levels.
    pub(super) fn kernel(&mut self, name: &str, kernel: &Kernel) -> Access {
        match kernel {
            Kernel::Float(values) => {
                self.array("float", 4, name, &values.iter().map(|v| float(*v)).collect::<Vec<_>>());
                Access(format!("{name}[{{}}]"))
            }
            Kernel::Integer(kernel) => self.levels(name, kernel),
        }
    }

    fn levels(&mut self, name: &str, kernel: &IntegerKernel) -> Access {
        let bits = kernel.bits;
        if bits >= 8 || self.packing == Packing::Bytes {
            let levels: Vec<i64> = kernel.levels.iter().map(|&l| i64::from(l)).collect();
            self.store(name, &levels);
            return Access(format!("{name}[{{}}]"));
        }
        let lowest = kernel.levels.iter().min().copied().expect("invariant: kernels are not empty");
        let code = |level: i32| {
            let code = match &kernel.encoding {
                Encoding::Level => level.abs_diff(lowest),
                Encoding::Sign => u32::from(level > 0),
                Encoding::Table(table) => {
                    let found = table.binary_search(&level);
                    found.expect("invariant: the table holds every level of its kernel") as u32
                }
            };
            // A wider code would overwrite its neighbors in the packed array.
            assert!(code >> bits == 0, "invariant: code {code} of level {level} has {bits} bits");
            code
        };
        let mut packed = vec![0_u8; (kernel.levels.len() * bits as usize).div_ceil(8)];
        for (i, &level) in kernel.levels.iter().enumerate() {
            for b in 0..bits as usize {
                let bit = i * bits as usize + b;
                packed[bit / 8] |= ((code(level) >> b & 1) as u8) << (bit % 8);
            }
        }
        self.array("uint8_t", 1, name, &packed.iter().map(u8::to_string).collect::<Vec<_>>());
        self.unpacker(bits);
        let unpacked = format!("unpack{bits}({name}, {{}})");
        match &kernel.encoding {
            Encoding::Level if lowest < 0 => Access(format!("({unpacked} - {})", -lowest)),
            Encoding::Level => Access(format!("({unpacked} + {lowest})")),
            Encoding::Sign => Access(format!("(2 * {unpacked} - 1)")),
            Encoding::Table(table) => {
                let levels: Vec<i64> = table.iter().map(|&l| i64::from(l)).collect();
                self.store(&format!("{name}_levels"), &levels);
                Access(format!("{name}_levels[{unpacked}]"))
            }
        }
    }

    /// Writes the function that unpacks codes of `bits` bits, once.
    fn unpacker(&mut self, bits: u32) {
        if !self.written.insert(format!("unpack{bits}")) {
            return;
        }
        let f = &mut self.functions;
        f.open(&format!("static int32_t unpack{bits}(const uint8_t *codes, int32_t index)"));
        let mask = (1_u32 << bits) - 1;
        if 8 % bits == 0 {
            let per_byte = 8 / bits;
            f.line(&format!(
                "return (int32_t)(codes[index / {per_byte}] >> (index % {per_byte} * {bits}) & {mask});"
            ));
        } else {
            f.line(&format!("const uint32_t bit = (uint32_t)index * {bits}u;"));
            f.line("const uint32_t shift = bit % 8u;");
            f.line("uint32_t word = codes[bit / 8u];");
            f.line("/* The next byte is read only where the code goes on there. */");
            f.line(&format!("if (shift > {}u) {{", 8 - bits));
            f.line("    word |= (uint32_t)codes[bit / 8u + 1u] << 8;");
            f.line("}");
            f.line(&format!("return (int32_t)(word >> shift & {mask}u);"));
        }
        f.close();
    }

    /// Writes the function that shifts right with rounding half to even, once for each sum width (32 or 64 bits).
    pub(super) fn shifter(&mut self, bits: u32) {
        if !self.written.insert(format!("shift{bits}")) {
            return;
        }
        let f = &mut self.functions;
        let kind = format!("int{bits}_t");
        f.line("/* value / 2^shift, rounded half to even. */");
        f.open(&format!("static {kind} shift_down{bits}({kind} value, int32_t shift)"));
        f.line(&format!("const {kind} one = ({kind})1 << shift;"));
        f.line(&format!("{kind} quotient = value / one;"));
        f.line(&format!("{kind} rest = value % one;"));
        f.block("if (rest < 0)");
        f.line("--quotient;");
        f.line("rest += one;");
        f.close();
        f.block("if (2 * rest > one || (2 * rest == one && quotient % 2 != 0))");
        f.line("++quotient;");
        f.close();
        f.line("return quotient;");
        f.close();
    }
}
