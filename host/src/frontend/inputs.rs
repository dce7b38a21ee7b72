//! The files that an object depends on beside what the request holds.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::facts::Input;
use crate::include::asks_for_files;
use crate::lex::Lexed;

/// How much older than a clock's the times of files are at most: file systems take the time of the kernel's last tick, of which
/// there are at least 100 a second.
const TICK: Duration = Duration::from_millis(10);

/// The modules whose types were taken, and the files that clang read outside of its private folder. None where the object may
/// depend on more: on whether there is some other file, or on what was in a file before it was changed while this went on.
pub(super) fn of(text: &str, files: &[PathBuf], modules: Vec<Input>, began: SystemTime) -> Option<Vec<Input>> {
    let mut inputs = modules;
    if asks_for_files(&Lexed::new(text)) {
        return None;
    }
    for path in files {
        let bytes = std::fs::read(path).ok()?;
        if is_changed(path, began) || asks_for_files(&Lexed::new(&String::from_utf8_lossy(&bytes))) {
            return None;
        }
        inputs.push(Input::new(path, &bytes));
    }
    Some(inputs)
}

/// Whether a file was written since then; true where that cannot be told.
fn is_changed(path: &Path, began: SystemTime) -> bool {
    let written = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    let oldest = began.checked_sub(TICK).unwrap_or(SystemTime::UNIX_EPOCH);
    written.map_or(true, |written| written >= oldest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_count_unless_they_changed_meanwhile_or_ask_for_others() {
        let folder = tempfile::tempdir().unwrap();
        let header = folder.path().join("x.h");
        let now = SystemTime::now();
        let check = |text: &str, header_text: &str, age: u64, expect: bool| {
            std::fs::write(&header, header_text).unwrap();
            let written = now - Duration::from_secs(age);
            std::fs::File::options().write(true).open(&header).unwrap().set_modified(written).unwrap();
            let module = Input::new(Path::new("/sys/kernel/btf/m"), b"types");
            let found = of(text, std::slice::from_ref(&header), vec![module.clone()], now);
            let all = vec![module, Input::new(&header, header_text.as_bytes())];
            assert_eq!(found, expect.then_some(all), "{text} {header_text} {age}");
        };
        check("#include X", "int a;", 60, true);
        check("#include X", "int a;", 0, false);
        check("#if __has_include(\"y.h\")\n#endif", "int a;", 60, false);
        check("#include X", "#if __has_include(\"y.h\")\n#endif", 60, false);
        assert_eq!(of("", &[folder.path().join("none.h")], Vec::new(), now), None);
        assert_eq!(of("int a;", &[], Vec::new(), now), Some(Vec::new()));
    }
}
