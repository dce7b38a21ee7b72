//! symres-fuzz-seeds FOLDER FILE…: makes the inputs that fuzzing starts from out of ELF files, of texts (`.txt`), and of folders
//! with files that refer to each other, into FOLDER/TARGET/. `ci/fuzz-symres` compiles the files.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use object::elf::SHF_COMPRESSED;
use object::read::elf::{ElfFile64, FileHeader as _, SectionHeader as _};
use symres_fuzz::image::{COMPRESSED, CRC, NEXT_FILE, Part, ROWS, XZ, encode, kind_of};
use symres_fuzz::index;
use symres_fuzz::target::{FILES, TARGETS, Target, find};

/// Longer ones are slow to change; what is in them is in smaller ones too.
const LONGEST: usize = 64 << 10;

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let (folder, files) = arguments.split_first().context("usage: symres-fuzz-seeds FOLDER FILE…")?;
    for target in TARGETS {
        fs::create_dir_all(folder.join(target.name))?;
    }
    for file in files {
        if file.is_dir() {
            seed_of_several(folder, file).with_context(|| file.display().to_string())?;
            continue;
        }
        let bytes = fs::read(file).with_context(|| file.display().to_string())?;
        let name = file.file_name().context("a file without a name")?;
        for target in TARGETS {
            if let Some(seed) = seed(target, file, &bytes).with_context(|| file.display().to_string())? {
                fs::write(folder.join(target.name).join(name), seed)?;
            }
        }
    }
    fs::write(folder.join("index/made"), index::seed().context("symres keeps no index")?)?;
    for target in TARGETS {
        let made = fs::read_dir(folder.join(target.name))?.count();
        ensure!(made > 0, "no seed for `{}`", target.name);
    }
    Ok(())
}

/// An input of several files, for the targets whose files refer to others.
fn seed_of_several(folder: &Path, files: &Path) -> Result<()> {
    let target = find("files").context("no target `files`")?;
    let mut parts = Vec::new();
    for name in FILES {
        if *name != "main" {
            parts.push(Part { kind: NEXT_FILE, flags: 0, bytes: Vec::new() });
        }
        let file = files.join(name);
        if file.exists() {
            parts.extend(sections(target, &fs::read(file)?)?);
        }
    }
    let name = files.file_name().context("a folder without a name")?;
    Ok(fs::write(folder.join(target.name).join(name), encode(&parts))?)
}

/// What a file is for a target: none where it has nothing for it.
fn seed(target: &Target, file: &Path, bytes: &[u8]) -> Result<Option<Vec<u8>>> {
    if target.name == "index" {
        return Ok(None);
    }
    let text = file.extension().is_some_and(|extension| extension == "txt");
    if text || target.name == "names" {
        return Ok((text && target.name == "names").then(|| bytes.to_vec()));
    }
    if !target.parts {
        return Ok((bytes.len() <= LONGEST).then(|| bytes.to_vec()));
    }
    let parts = sections(target, bytes)?;
    // `.text` alone tells nothing.
    let seed = encode(&parts);
    Ok((parts.len() > 1 && seed.len() <= LONGEST).then_some(seed))
}

fn sections(target: &Target, bytes: &[u8]) -> Result<Vec<Part>> {
    let elf: ElfFile64 = ElfFile64::parse(bytes)?;
    let endian = elf.endian();
    let table = elf.elf_header().sections(endian, bytes)?;
    let mut parts = Vec::new();
    for section in table.iter() {
        let name = String::from_utf8_lossy(table.section_name(endian, section)?);
        let wanted = target.sections.iter().any(|start| name.starts_with(start));
        if let Some(kind) = kind_of(&name).filter(|_| wanted) {
            let mut flags = if section.sh_flags(endian).contains(SHF_COMPRESSED) { COMPRESSED } else { 0 };
            let mut bytes = section.data(endian, bytes)?.to_vec();
            match &*name {
                ".gnu_debuglink" => flags |= CRC,
                ".gnu_debugdata" => {
                    // What is changed is the file in it.
                    let mut unpacked = Vec::new();
                    lzma_rs::xz_decompress(&mut bytes.as_slice(), &mut unpacked).context(".gnu_debugdata")?;
                    (flags, bytes) = (flags | XZ, unpacked);
                }
                _ => {}
            }
            parts.push(Part { kind, flags, bytes });
        } else if wanted && name.starts_with(".note") {
            // Notes of other names are read like these.
            let kind = kind_of(ROWS.iter().find(|row| row.name.starts_with(".note")).map_or("", |row| row.name));
            let bytes = section.data(endian, bytes)?.to_vec();
            parts.extend(kind.map(|kind| Part { kind, flags: 0, bytes }));
        }
    }
    Ok(parts)
}
