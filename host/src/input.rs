//! What is run or checked: the text of a probe, or an object file.

use std::io::Read as _;
use std::path::Path;

use crate::builtin;
use crate::include;
use crate::source::{Source, SourceError};

/// The largest object file that is read or written, in bytes. The largest of BCC's tools gives 0.3 MB.
pub const MAX_OBJECT: u64 = 32 << 20;

/// How ELF files begin.
pub const ELF: &[u8; 4] = b"\x7fELF";

/// What is run or checked.
#[derive(Debug, Clone)]
pub enum Input {
    /// The text of a probe.
    Text(Source),
    /// An object file: one of `dbcc build`, or any of libbpf's.
    Object(ObjectFile),
}

/// An object file as it was read; nothing is known of what is in it.
#[derive(Debug, Clone)]
pub struct ObjectFile {
    /// The path as given.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Why there is nothing to run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// There is neither a file nor a built-in probe of that name.
    #[error("no probe file `{name}`, and no built-in probe of that name; built in are: {known}")]
    NoProbe {
        /// What was asked for.
        name: String,
        /// Names of the built-in probes.
        known: String,
    },
    /// Reading the probe failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The file is larger than [`MAX_OBJECT`].
    #[error("object file `{0}` has more than {MAX_OBJECT} bytes")]
    TooLarge(String),
}

impl Input {
    /// Reads what is named: a path is a path (it has a `/` or a dot, or such a file exists); anything else is the name of a
    /// built-in probe.
    ///
    /// # Errors
    /// When the file cannot be read, or nothing has that name.
    pub fn read(name: &str) -> Result<Self, InputError> {
        let path = Path::new(name);
        // A built-in name means the built-in probe in every folder: what root runs must not depend on files that lie about.
        let built_in = if name.contains(['/', '.']) { None } else { builtin::find(name) };
        if let Some(probe) = built_in {
            return Ok(Self::Text(probe.source()));
        }
        if name.contains(['/', '.']) || path.is_file() {
            return match object(name)? {
                Some(bytes) => Ok(Self::Object(ObjectFile { name: name.to_owned(), bytes })),
                None => Ok(Self::Text(include::read(path)?)),
            };
        }
        let known: Vec<&str> = builtin::all().iter().map(|probe| probe.name).collect();
        Err(InputError::NoProbe { name: name.to_owned(), known: known.join(", ") })
    }

    /// The name that messages show.
    pub fn name(&self) -> &str {
        match self {
            Self::Text(source) => &source.name,
            Self::Object(object) => &object.name,
        }
    }
}

/// The bytes of an ELF file; none for another file.
fn object(name: &str) -> Result<Option<Vec<u8>>, InputError> {
    let failed = |error| SourceError::Io { path: name.to_owned(), error };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(name).map_err(failed)?;
    (&file).take(4).read_to_end(&mut bytes).map_err(failed)?;
    if bytes != ELF {
        return Ok(None);
    }
    file.take(MAX_OBJECT).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_OBJECT) {
        return Err(InputError::TooLarge(name.to_owned()));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_path_and_a_name_is_a_built_in_probe() {
        assert_eq!(Input::read("netio").unwrap().name(), "probes/netio.c");
        assert!(matches!(Input::read("./netio"), Err(InputError::Source(_))));
        assert!(matches!(Input::read("netio.c"), Err(InputError::Source(_))));
        let error = Input::read("netoi").unwrap_err().to_string();
        assert!(error.contains("mysql_conn, netio"), "{error}");
    }

    #[test]
    fn an_elf_file_is_an_object() {
        let this = std::env::current_exe().unwrap();
        let read = Input::read(this.to_str().unwrap());
        assert!(matches!(read, Ok(Input::Object(_)) | Err(InputError::TooLarge(_))), "{read:?}");
    }
}
