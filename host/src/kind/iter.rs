//! iter: a program that the kernel runs for each of its objects of a kind, and whose text is printed.

use super::{Attachment, Context, Held, Kind, Options, Target, TargetError, TargetSpec};
use super::{target_error, wrong_target};
use crate::bpf::iter::KernelIterator;
use crate::bpf::program::ProgramType;
use crate::bpf::{Error, Program};

/// The row.
pub(super) struct Iter;

impl Kind for Iter {
    fn name(&self) -> &'static str {
        "iter"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["it"]
    }

    fn summary(&self) -> &'static str {
        "all objects of the kernel of a kind (task, task_file, tcp, bpf_map, …); what it writes is printed"
    }

    fn grammar(&self) -> &'static str {
        "iter:KIND[:MAP]"
    }

    fn prefixes(&self) -> &'static [&'static str] {
        &["bpf_iter__"]
    }

    fn sections(&self) -> &'static [&'static str] {
        &["iter", "iter.s"]
    }

    fn section(&self, target: &str) -> String {
        format!("iter/{}", target.split(':').next().unwrap_or_default())
    }

    fn contexts(&self) -> &'static [&'static str] {
        &["bpf_iter__"]
    }

    fn context(&self) -> Context {
        Context::Opaque
    }

    fn program_type(&self) -> ProgramType {
        ProgramType::Iter
    }

    fn parse_target(&self, text: &str) -> Result<TargetSpec, TargetError> {
        let (name, map) = text.split_once(':').map_or((text, None), |(name, map)| (name, Some(map)));
        let good =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        match (good(name), map.is_none_or(good)) {
            (true, true) => Ok(TargetSpec::Iterator { name: name.to_owned(), map: map.map(str::to_owned) }),
            (false, _) => Err(target_error(self, text)("it names no kind of objects, such as `task`".to_owned())),
            (_, false) => Err(target_error(self, text)("what stands behind the `:` is no name of a map".to_owned())),
        }
    }

    fn attach(&self, program: Program<'_>, target: &Target, options: &Options<'_>) -> Result<Attachment, Error> {
        let Target::Iterator { name, map } = target else { return Err(wrong_target(self, target)) };
        let what = || format!("make an iterator over `{target}`");
        let fd = program.fd().ok_or_else(|| Error::new(what(), libc::EBADF))?;
        let found = match map {
            None => None,
            Some(map) => Some(options.maps.iter().find(|known| &**known.name() == map.as_str()).ok_or_else(|| {
                Error { said: format!("the probe has no map `{map}`"), ..Error::new(what(), libc::ENOENT) }
            })?),
        };
        let iterator = KernelIterator::new(fd, found).map_err(|error| {
            let error = Error::from_io(what(), &error);
            match error.errno {
                libc::EBADF | libc::EINVAL if map.is_none() => {
                    Error { said: format!("one that goes over a map names it: iter:{name}:MAP"), ..error }
                }
                _ => error,
            }
        })?;
        Ok(Attachment::holding(vec![Held::Iterator(iterator)], None, None))
    }
}
