//! Kinds whose programs are attached to a place (an interface, a cgroup, a namespace, a map) at one of its hooks: what they
//! have in common. Each is one [`Placed`].

use std::fs::File;
use std::os::fd::AsFd as _;

use super::{Attachment, Context, Held, Kind, Options, Target, TargetError, TargetSpec};
use super::{target_error, wrong_target};
use crate::bpf::program::{AttachType, ProgramType};
use crate::bpf::{Error, Program, link, tc};

/// A kind as a row of a table.
pub(super) struct Placed {
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    pub(super) grammar: &'static str,
    pub(super) program_type: ProgramType,
    /// Sections that mean it; the first is generated where no hook is known.
    pub(super) sections: &'static [&'static str],
    /// Tags of the structs that are its context, as far as they tell it.
    pub(super) contexts: &'static [&'static str],
    pub(super) place: Place,
    /// The hooks of a place; one whose name is empty is that of a target that names none.
    pub(super) hooks: &'static [Hook],
}

/// What programs are attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A network interface, with a link.
    Interface,
    /// A network interface, by traffic control.
    Traffic,
    /// A network interface, by a socket that gets its packets.
    Packets,
    /// A folder of the cgroup file system.
    Cgroup,
    /// A network namespace: a file such as `/proc/4711/ns/net`.
    NetNamespace,
    /// A map of the probe.
    Map,
    /// Nothing: why, and what to use instead.
    Nothing(&'static str),
}

/// A hook of a place.
#[derive(Debug)]
pub(super) struct Hook {
    pub(super) name: &'static str,
    pub(super) section: &'static str,
    pub(super) attach_type: AttachType,
    /// Flags of the link (`enum` of include/uapi/linux/if_link.h for XDP).
    pub(super) flags: u32,
}

/// A hook without flags.
pub(super) const fn hook(name: &'static str, section: &'static str, attach_type: AttachType) -> Hook {
    Hook { name, section, attach_type, flags: 0 }
}

impl Placed {
    fn hook(&self, name: &str) -> Option<&'static Hook> {
        self.hooks.iter().find(|hook| hook.name == name)
    }

    /// The place, and the hook that is named last.
    fn take_apart(&self, text: &str) -> Result<(String, &'static str), String> {
        if let Place::Nothing(why) = self.place {
            return Err(why.to_owned());
        }
        let named = text.rsplit_once(':').and_then(|(place, name)| Some((place, self.hook(name)?)));
        let (place, hook) = match (named, self.hook("")) {
            (Some((place, hook)), _) => (place, hook),
            (None, Some(hook)) if !text.contains(':') || self.place == Place::Cgroup => (text, hook),
            _ => {
                let names: Vec<&str> =
                    self.hooks.iter().map(|hook| hook.name).filter(|name| !name.is_empty()).collect();
                return Err(format!("it ends with none of the hooks {}", names.join(", ")));
            }
        };
        let place = place.trim();
        if place.is_empty() || place.contains('\0') {
            return Err("nothing stands before the hook that it could be attached to".to_owned());
        }
        Ok((place.to_owned(), hook.name))
    }
}

impl Kind for Placed {
    fn name(&self) -> &'static str {
        self.name
    }

    fn summary(&self) -> &'static str {
        self.summary
    }

    fn grammar(&self) -> &'static str {
        self.grammar
    }

    fn sections(&self) -> &'static [&'static str] {
        self.sections
    }

    fn section(&self, target: &str) -> String {
        let hook = self.take_apart(target).ok().and_then(|(_, hook)| self.hook(hook));
        hook.map_or(self.sections.first().copied().unwrap_or_default(), |hook| hook.section).to_owned()
    }

    fn target_of_section(&self, _rest: &str) -> Option<String> {
        None
    }

    fn contexts(&self) -> &'static [&'static str] {
        self.contexts
    }

    fn context(&self) -> Context {
        Context::Opaque
    }

    fn program_type(&self) -> ProgramType {
        self.program_type
    }

    fn parse_target(&self, text: &str) -> Result<TargetSpec, TargetError> {
        let (place, hook) = self.take_apart(text).map_err(target_error(self, text))?;
        Ok(TargetSpec::Place { place, hook })
    }

    fn attach(&self, program: Program<'_>, target: &Target, options: &Options<'_>) -> Result<Attachment, Error> {
        let Target::Place { place, hook } = target else { return Err(wrong_target(self, target)) };
        let hook = self.hook(hook).ok_or_else(|| wrong_target(self, target))?;
        let what = || format!("attach {} to `{target}`", self.name);
        let failed = |error: std::io::Error| Error::from_io(what(), &error);
        let fd = program.fd().ok_or_else(|| Error::new(what(), libc::EBADF))?;
        let missing = |said: String| Error { said, ..Error::new(what(), libc::ENOENT) };
        match self.place {
            Place::Interface => {
                let interface = link::interface(place).map_err(failed)?;
                let link = link::create(fd, interface, hook.attach_type, hook.flags).map_err(|error| {
                    match error.raw_os_error() {
                        Some(libc::EBUSY | libc::EEXIST) => {
                            let said = "another program is attached there: `ip link show` names it".to_owned();
                            Error { said, ..failed(error) }
                        }
                        _ => failed(error),
                    }
                })?;
                Ok(Attachment::holding(vec![Held::Descriptor(link)], None, None))
            }
            Place::Traffic => {
                let interface = link::interface(place).map_err(failed)?;
                // Links for traffic control came with Linux 6.6 (tcx).
                match link::create(fd, interface, hook.attach_type, 0) {
                    Ok(link) => Ok(Attachment::holding(vec![Held::Descriptor(link)], None, Some("a tcx link".into()))),
                    Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                        let filter = tc::TcFilter::new(fd, interface, hook.attach_type, what).map_err(|error| {
                            match error.errno {
                                libc::ENOENT => {
                                    let said =
                                        "the modules sch_ingress and cls_bpf are not there: `modprobe` loads them"
                                            .into();
                                    Error { said, ..error }
                                }
                                _ => error,
                            }
                        })?;
                        let note =
                            "a filter of clsact, since this kernel has no links for tc: a killed dbcc leaves it behind";
                        Ok(Attachment::holding(vec![Held::Filter(filter)], None, Some(note.to_owned())))
                    }
                    Err(error) => Err(failed(error)),
                }
            }
            Place::Packets => {
                let interface = link::interface(place).map_err(failed)?;
                let socket = link::packet_socket(interface, fd).map_err(failed)?;
                let note = "nobody reads the packets that it lets through".to_owned();
                Ok(Attachment::holding(vec![Held::Descriptor(socket)], None, Some(note)))
            }
            Place::Cgroup | Place::NetNamespace => {
                let file = File::open(place).map_err(|error| Error::from_io(format!("open `{place}`"), &error))?;
                let link = link::create(fd, link::Place::File(file.as_fd()), hook.attach_type, 0).map_err(|error| {
                    let said = match error.raw_os_error() {
                        Some(libc::EBADF) if self.place == Place::Cgroup => {
                            format!("`{place}` is no folder of the cgroup2 file system")
                        }
                        _ => String::new(),
                    };
                    Error { said, ..failed(error) }
                })?;
                Ok(Attachment::holding(vec![Held::Descriptor(link)], None, None))
            }
            Place::Map => {
                let map = options.maps.iter().find(|map| &**map.name() == place.as_str());
                let map = map.ok_or_else(|| missing(format!("the probe has no map `{place}`")))?;
                link::attach_to_map(fd, map, hook.attach_type).map_err(failed)?;
                // The kernel detaches it with the map, which is the probe's.
                Ok(Attachment::holding(Vec::new(), None, Some("as long as the map lives".to_owned())))
            }
            Place::Nothing(why) => Err(Error { said: why.to_owned(), ..Error::new(what(), libc::EOPNOTSUPP) }),
        }
    }
}
