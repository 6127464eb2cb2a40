//! Functions compiled once per instruction set, selected at run time.
//!
//! Loops that are written once never use fused multiplication, so they compute the same bits on every instruction
//! set. Matrix products and convolutions use FMA if the processor has it; their last bits therefore differ between
//! instruction sets.

use std::cell::Cell;

/// Instruction sets that kernels are compiled for, from the narrowest to the widest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstructionSet {
    /// The baseline of the architecture.
    Portable,
    /// AVX2, FMA and POPCNT (x86-64).
    Avx2,
    /// AVX-512 F, BW, DQ and VL (x86-64).
    Avx512,
}

impl InstructionSet {
    /// The widest set that this processor supports.
    #[must_use]
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("popcnt")
            {
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                {
                    return Self::Avx512;
                }
                return Self::Avx2;
            }
        }
        Self::Portable
    }

    /// The set that kernels use on this thread.
    #[must_use]
    pub fn current() -> Self {
        Self::detect().min(LIMIT.get())
    }

    /// Runs `work` with kernels on this thread limited to this set, so that all paths can be tested on one machine.
    pub fn limit<R>(self, work: impl FnOnce() -> R) -> R {
        struct Restore(InstructionSet);
        impl Drop for Restore {
            fn drop(&mut self) {
                LIMIT.set(self.0);
            }
        }
        let _restore = Restore(LIMIT.replace(self));
        work()
    }
}

thread_local! {
    static LIMIT: Cell<InstructionSet> = const { Cell::new(InstructionSet::Avx512) };
}

/// Defines a function whose body is compiled once per [`InstructionSet`]. Calls dispatch to the current set.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident $(<{ $($gen:tt)* }>)? ($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[cfg_attr(
            target_arch = "x86_64",
            expect(unsafe_code, reason = "a function compiled for an instruction set may run only where it is")
        )]
        $vis fn $name $(<$($gen)*>)? ($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body $(<$($gen)*>)? ($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,popcnt")]
            fn avx512 $(<$($gen)*>)? ($($arg: $ty),*) $(-> $ret)? {
                body($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,popcnt")]
            fn avx2 $(<$($gen)*>)? ($($arg: $ty),*) $(-> $ret)? {
                body($($arg),*)
            }

            match $crate::dispatch::InstructionSet::current() {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: `current` names only sets that the processor has.
                $crate::dispatch::InstructionSet::Avx512 => unsafe { avx512($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                $crate::dispatch::InstructionSet::Avx2 => unsafe { avx2($($arg),*) },
                _ => body($($arg),*),
            }
        }
    };
}
pub(crate) use multiversion;
