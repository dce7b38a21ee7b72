//! Which files clang read: a rule for make, which it writes beside the object.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Name of the file in the probe's private folder that clang writes it to.
const RULE: &str = "files.d";

/// What tells clang to write it (`clang --help`).
pub(super) const ARGUMENTS: [&str; 5] = ["-MD", "-MF", "./files.d", "-MT", "probe"];

/// The largest rule that is read, in bytes.
const MAX_RULE: u64 = 4 << 20;

/// The files outside of the private folder `root` that clang read; those inside have relative paths.
///
/// # Errors
/// When clang did not write them down.
pub(super) fn read(root: &Path) -> io::Result<Vec<PathBuf>> {
    let said = |error: io::Error| io::Error::new(error.kind(), format!("cannot read which files clang read: {error}"));
    let mut rule = String::new();
    let file = std::fs::File::open(root.join(RULE)).map_err(said)?;
    file.take(MAX_RULE).read_to_string(&mut rule).map_err(said)?;
    let names = prerequisites(&rule).into_iter().map(PathBuf::from);
    Ok(names.filter(|path| path.is_absolute() && !path.starts_with(root)).collect())
}

/// The names behind the colon of a rule, unescaped. How clang escapes: `PrintFilename` of lib/Frontend/DependencyFile.cpp.
fn prerequisites(rule: &str) -> Vec<String> {
    let rest = rule.split_once(':').map_or("", |(_, rest)| rest);
    let mut names = vec![String::new()];
    let mut letters = rest.chars().peekable();
    while let Some(letter) = letters.next() {
        let name = match names.last_mut() {
            Some(name) => name,
            None => break,
        };
        match (letter, letters.peek()) {
            ('\\', Some('\n')) => names.push(String::new()),
            ('\\', Some(next @ (' ' | '#'))) => {
                name.push(*next);
                letters.next();
            }
            ('$', Some('$')) => {
                name.push('$');
                letters.next();
            }
            (letter, _) if letter.is_ascii_whitespace() => names.push(String::new()),
            (letter, _) => name.push(letter),
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unescaped() {
        let rule = "probe: - ./dbcc/a.h \\\n  /a\\ b/c.h /x\\#y.h /d$$.h \\\n  /z.h\n";
        assert_eq!(prerequisites(rule), ["-", "./dbcc/a.h", "/a b/c.h", "/x#y.h", "/d$.h", "/z.h"]);
        assert!(prerequisites("").is_empty());
    }
}
