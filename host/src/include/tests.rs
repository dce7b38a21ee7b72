use super::*;
use crate::diag::Diagnostic;
use crate::diag::render;
use crate::source::Span;

/// A folder with files, and the probe `p.c` in it.
fn probe(files: &[(&str, &str)]) -> (tempfile::TempDir, Source) {
    let dir = tempfile::tempdir().expect("there is room for a folder");
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it is in the folder")).expect("the folder can be made");
        std::fs::write(path, text).expect("the file can be written");
    }
    let source = read(&dir.path().join("p.c")).expect("the probe can be read");
    (dir, source)
}

/// Where each line of a text comes from: `file:line`, without the folder.
fn lines(dir: &tempfile::TempDir, source: &Source) -> String {
    let folder = format!("{}/", dir.path().display());
    let mut out = String::new();
    let mut offset = 0u32;
    for line in source.text.split_inclusive('\n') {
        let place = format!("{}:{}", source.excerpt(offset).file.replace(&folder, ""), source.in_file(offset).line);
        let shown = line.split_inclusive("DBCC_ONCE_").next().unwrap_or_default();
        out.push_str(&format!("{place:10} {}\n", shown.trim_end()));
        offset += u32::try_from(line.len()).expect("it is small");
    }
    out
}

#[test]
fn lines_of_included_files_are_lines_of_the_probe() {
    let (dir, source) = probe(&[
        ("p.c", "#include <linux/fs.h>\n  #include \"x.h\" // why\nint a;\n#include \"sub/y.c\"\nint b;"),
        ("x.h", "#pragma once\n#include \"sub/z.h\"\nint x;"),
        ("sub/y.c", "#include \"z.h\"\n#include \"x.h\"\nint y;\n"),
        ("sub/z.h", "#ifndef Z\n#define Z\n#endif\n"),
    ]);
    insta::assert_snapshot!(lines(&dir, &source), @"
    p.c:1      #include <linux/fs.h>
    p.c:2      #ifndef DBCC_ONCE_
    p.c:3      #define DBCC_ONCE_
    x.h:1      #pragma once
    sub/z.h:1  #ifndef Z
    sub/z.h:2  #define Z
    sub/z.h:3  #endif
    x.h:3      int x;
    p.c:2      #endif
    p.c:3      int a;
    sub/z.h:1  #ifndef Z
    sub/z.h:2  #define Z
    sub/z.h:3  #endif
    sub/y.c:2  #ifndef DBCC_ONCE_
    sub/y.c:3  #define DBCC_ONCE_
    x.h:1      #pragma once
    sub/z.h:1  #ifndef Z
    sub/z.h:2  #define Z
    sub/z.h:3  #endif
    x.h:3      int x;
    sub/y.c:2  #endif
    sub/y.c:3  int y;
    p.c:5      int b;
    ");
}

#[test]
fn what_only_the_preprocessor_can_follow_stays() {
    let text =
        "#include \"missing.h\"\n#include \"vmlinux.h\"\n#define H \"x.h\"\n#include H\n/*\n#include \"x.h\"\n*/\n";
    let (_dir, source) = probe(&[("p.c", text), ("x.h", "int x;\n"), ("vmlinux.h", "int v;\n")]);
    assert_eq!(source.text, text);
    assert!(source.parts.is_empty());
    // A file that includes itself: once, and then it is the preprocessor's.
    let (_dir, source) =
        probe(&[("p.c", "#include \"x.h\"\n"), ("x.h", "#ifndef X\n#define X\n#include \"x.h\"\n#endif\n")]);
    assert_eq!(source.text, "#ifndef X\n#define X\n#include \"x.h\"\n#endif\n");
}

#[test]
fn files_that_include_each_other_twice_end() {
    let mut files: Vec<(String, String)> = (0..40)
        .map(|number| {
            let next = number + 1;
            (format!("{number}.h"), format!("#include \"{next}.h\"\n#include \"{next}.h\"\n"))
        })
        .collect();
    files.push(("p.c".into(), "#include \"0.h\"\n".into()));
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let (_dir, source) = probe(&files);
    assert!(source.text.len() < 1 << 20);
}

#[test]
fn messages_point_into_the_file_that_is_meant() {
    let (dir, source) = probe(&[("p.c", "int a;\n#include \"x.h\"\nint b;\n"), ("x.h", "int x;\nint wrong;\n")]);
    let span = |word: &str| {
        let at = u32::try_from(source.text.find(word).expect("it is there")).expect("it is small");
        Span::new(at, at + u32::try_from(word.len()).expect("it is small"))
    };
    let message = Diagnostic::error("this is wrong", span("wrong")).label(span("b;"), "because of this");
    let shown = render(&message, &source, false).replace(&format!("{}/", dir.path().display()), "");
    insta::assert_snapshot!(shown, @"
    error: this is wrong
     --> x.h:2:5
      |
    2 | int wrong;
      |     ^^^^^
      |
     ::: p.c:3:5
      |
    3 | int b;
      |     -- because of this
    ");
    let located = crate::diag::Located::new(&message, &source);
    assert!(located.file.ends_with("/x.h"), "{located:?}");
    assert_eq!(located.place.map(|place| (place.line, place.column)), Some((2, 5)));
    assert!(located.labels[0].file.is_some_and(|file| file.ends_with("/p.c")));
    assert_eq!(located.labels[0].place.line, 3);
}

#[test]
fn includes_are_looked_for_beside_what_a_link_leads_to() {
    let (dir, source) = probe(&[
        ("real/p.c", "#include \"x.h\"\n#include \"y.h\"\nint p;\n"),
        ("real/x.h", "int hidden;\n"),
        ("real/y.h", "#include \"z.h\"\n"),
        ("real/z.h", "int z;\n"),
        ("x.h", "int x;\n"),
        ("p.c", ""),
    ]);
    assert_eq!(source.text, "");
    let link = dir.path().join("link.c");
    std::os::unix::fs::symlink("real/p.c", &link).expect("the link can be made");
    let source = read(&link).expect("the probe can be read");
    // Beside the link comes first, as for clang.
    assert_eq!(source.text, "int x;\nint z;\nint p;\n");
}
