//! Names that may become files: of users, of strangers' corpora and specifications.

/// Characters of the longest name.
const LONGEST: usize = 200;

/// Device names of Windows. A file of such a name, with any extension, is the device.
const DEVICES: [&str; 4] = ["CON", "PRN", "AUX", "NUL"];

/// Returns true if `name` is one file or folder on every system: letters, digits, `-`, `_` and `.` in ASCII, at most 200
/// of them, no `.` or `-` at the start, no `.` at the end, no device of Windows.
///
/// A path made of such names cannot leave the folder that it starts from.
///
/// ```
/// use tinsmith_foundation::is_safe_file_name;
/// assert!(is_safe_file_name("trial-00001.yaml"));
/// for name in ["", "..", "a/b", "a\\b", "C:x", ".hidden", "-rf", "a.", "con", "NUL.txt", "com1", "a b", "ä"] {
///     assert!(!is_safe_file_name(name), "{name}");
/// }
/// ```
#[must_use]
pub fn is_safe_file_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let stem = name.split('.').next().unwrap_or(name);
    !stem.is_empty()
        && name.len() <= LONGEST
        && !name.starts_with('-')
        && !name.ends_with('.')
        && name.chars().all(plain)
        && !is_device(stem)
}

fn is_device(stem: &str) -> bool {
    let upper = stem.to_ascii_uppercase();
    let numbered = |kind: &str| {
        upper.strip_prefix(kind).is_some_and(|digit| digit.len() == 1 && ("1"..="9").contains(&digit))
    };
    DEVICES.contains(&upper.as_str()) || numbered("COM") || numbered("LPT")
}
