//! A small lexer for C: what stands where, without meaning.
//!
//! It serves what must be known before there is an AST: `//@` directives, which headers are included, and which names
//! occur, so that the slice of kernel types can start from them. Anything that needs meaning uses libclang. Every text
//! lexes: what is unterminated ends with its line or with the text, and a byte that C does not know is a token too.
//! The rules are those of C11, 5.1.1.2 and 6.4, with clang's leniency for blanks between a backslash and the line end.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::source::Span;

mod declared;

pub use declared::Declared;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A keyword, a name or a macro.
    Identifier,
    /// A preprocessing number: `12`, `0x1fULL`, `1.5e+3`.
    Number,
    /// A string literal with its prefix and quotes.
    String,
    /// A character literal with its prefix and quotes.
    Char,
    /// The name behind `#include`, with its brackets or quotes.
    Header,
    /// One character of punctuation; `->` is two tokens.
    Punctuation(u8),
    /// A comment of either form.
    Comment,
    /// Something that is no C.
    Unknown,
}

/// A token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it stands.
    pub span: Span,
    /// Whether it belongs to a preprocessor line (`#` included).
    pub preprocessor: bool,
}

/// A header that the text asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Include {
    /// The name without brackets or quotes: `linux/sched.h`.
    pub name: String,
    /// Whether it stands in quotes, so that the folder of the file is searched first.
    pub quoted: bool,
    /// Where the name stands, with its brackets or quotes.
    pub span: Span,
}

/// A `//@` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// What stands behind `//@`, without blanks around it.
    pub text: String,
    /// Where that stands; its length is that of `text` where no line is continued.
    pub span: Span,
}

/// A text and its tokens.
#[derive(Debug)]
pub struct Lexed<'text> {
    text: &'text str,
    tokens: Vec<Token>,
}

impl<'text> Lexed<'text> {
    /// Cuts a text into tokens. Only the first 4 GiB are looked at.
    pub fn new(text: &'text str) -> Self {
        let mut lexer = Lexer { bytes: text.as_bytes(), at: 0 };
        let mut tokens = Vec::new();
        let mut line_start = true;
        let mut preprocessor = false;
        let mut header_next = false;
        loop {
            if lexer.skip_blanks() {
                line_start = true;
                preprocessor = false;
                header_next = false;
            }
            let start = lexer.at;
            let Some(mut kind) = lexer.token(header_next) else { break };
            if start == lexer.at {
                break;
            }
            if kind == TokenKind::Punctuation(b'#') && line_start {
                preprocessor = true;
            }
            if preprocessor && kind == TokenKind::Identifier && text.get(start..lexer.at) == Some("include") {
                header_next = tokens.last().is_some_and(|last: &Token| last.kind == TokenKind::Punctuation(b'#'));
            } else if kind != TokenKind::Comment {
                if header_next && kind == TokenKind::String {
                    kind = TokenKind::Header;
                }
                header_next = false;
            }
            if kind != TokenKind::Comment {
                line_start = false;
            }
            let (Ok(from), Ok(to)) = (u32::try_from(start), u32::try_from(lexer.at)) else { break };
            tokens.push(Token { kind, span: Span::new(from, to), preprocessor });
        }
        Self { text, tokens }
    }

    /// All tokens in order, comments included.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// How a token is written, continued lines joined.
    pub fn spelling(&self, token: &Token) -> Cow<'text, str> {
        joined(self.text.get(token.span.range()).unwrap_or_default())
    }

    /// Every identifier that occurs outside comments and literals, keywords and macros included.
    pub fn identifiers(&self) -> BTreeSet<String> {
        self.tokens
            .iter()
            .filter(|token| token.kind == TokenKind::Identifier)
            .map(|token| self.spelling(token).into_owned())
            .collect()
    }

    /// Names that the text itself declares, so that nothing else may declare them.
    pub fn declared(&self) -> Declared {
        Declared::of(self)
    }

    /// The headers that are included, in order, whatever `#if` surrounds them.
    pub fn includes(&self) -> Vec<Include> {
        let headers = self.tokens.iter().filter(|token| token.kind == TokenKind::Header);
        headers
            .map(|token| {
                let spelling = self.spelling(token);
                let quoted = spelling.starts_with('"');
                let name = spelling.trim_start_matches(['<', '"']).trim_end_matches(['>', '"']);
                Include { name: name.to_owned(), quoted, span: token.span }
            })
            .collect()
    }

    /// The `//@` comments, in order.
    pub fn directives(&self) -> Vec<Directive> {
        let comments = self.tokens.iter().filter(|token| token.kind == TokenKind::Comment);
        comments
            .filter_map(|token| {
                let raw = self.text.get(token.span.range()).unwrap_or_default();
                let body = raw.strip_prefix("//@")?;
                let leading = raw.len() - body.trim_start().len();
                let start = token.span.start.saturating_add(u32::try_from(leading).ok()?);
                let end = start.saturating_add(u32::try_from(body.trim().len()).ok()?);
                Some(Directive { text: joined(body.trim()).into_owned(), span: Span::new(start, end) })
            })
            .collect()
    }
}

/// Without the line ends that a backslash hides.
fn joined(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        match continuation(from.as_bytes()) {
            Some(length) => rest = from.get(length..).unwrap_or_default(),
            None => {
                out.push('\\');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The length of a backslash and the line end that it hides, at the start of `bytes`.
fn continuation(bytes: &[u8]) -> Option<usize> {
    let rest = bytes.strip_prefix(b"\\")?;
    let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)).count();
    (rest.get(blanks) == Some(&b'\n')).then_some(blanks + 2)
}

/// A place in a text; continued lines are invisible to [`Lexer::peek`] and [`Lexer::bump`].
struct Lexer<'text> {
    bytes: &'text [u8],
    at: usize,
}

impl Lexer<'_> {
    /// Where the next byte that counts is.
    fn visible(&self, at: usize) -> usize {
        if self.bytes.get(at) != Some(&b'\\') {
            return at;
        }
        let mut at = at;
        while let Some(length) = self.bytes.get(at..).and_then(continuation) {
            at += length;
        }
        at
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.visible(self.at)).copied()
    }

    /// The byte behind the next one.
    fn peek_second(&self) -> Option<u8> {
        self.bytes.get(self.visible(self.visible(self.at) + 1)).copied()
    }

    fn bump(&mut self) {
        self.at = (self.visible(self.at) + 1).min(self.bytes.len());
    }

    /// Skips blanks; whether a line ended among them.
    fn skip_blanks(&mut self) -> bool {
        let mut newline = false;
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' => newline = true,
                b' ' | b'\t' | b'\r' | 0x0b | 0x0c => {}
                _ => break,
            }
            self.bump();
        }
        self.at = self.visible(self.at).min(self.bytes.len());
        newline
    }

    fn eat_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.bump();
        }
    }

    /// Reads one token; none at the end of the text.
    fn token(&mut self, header_next: bool) -> Option<TokenKind> {
        let first = self.peek()?;
        let second = self.peek_second();
        Some(match first {
            b'/' if second == Some(b'/') => {
                self.eat_while(|byte| byte != b'\n');
                TokenKind::Comment
            }
            b'/' if second == Some(b'*') => {
                self.block_comment();
                TokenKind::Comment
            }
            b'<' if header_next => self.header(),
            b'"' | b'\'' => self.quoted(first),
            byte if is_identifier_start(byte) => self.identifier(),
            byte if byte.is_ascii_digit() || (byte == b'.' && second.is_some_and(|next| next.is_ascii_digit())) => {
                self.number();
                TokenKind::Number
            }
            byte if byte.is_ascii_punctuation() && !matches!(byte, b'\\' | b'@' | b'`') => {
                self.bump();
                TokenKind::Punctuation(byte)
            }
            _ => {
                self.bump();
                TokenKind::Unknown
            }
        })
    }

    fn block_comment(&mut self) {
        self.bump();
        self.bump();
        while let Some(byte) = self.peek() {
            self.bump();
            if byte == b'*' && self.peek() == Some(b'/') {
                self.bump();
                return;
            }
        }
    }

    /// `<name>`, which must end on its line; else `<` is an operator.
    fn header(&mut self) -> TokenKind {
        let start = self.at;
        self.eat_while(|byte| byte != b'>' && byte != b'\n');
        if self.peek() == Some(b'>') {
            self.bump();
            return TokenKind::Header;
        }
        self.at = start;
        self.bump();
        TokenKind::Punctuation(b'<')
    }

    /// A literal up to its closing quote, or up to the end of the line where there is none.
    fn quoted(&mut self, quote: u8) -> TokenKind {
        self.bump();
        while let Some(byte) = self.peek() {
            if byte == b'\n' {
                break;
            }
            self.bump();
            if byte == quote {
                break;
            }
            if byte == b'\\' && self.peek().is_some_and(|next| next != b'\n') {
                self.bump();
            }
        }
        if quote == b'"' { TokenKind::String } else { TokenKind::Char }
    }

    fn identifier(&mut self) -> TokenKind {
        let start = self.at;
        self.eat_while(is_identifier);
        match (self.bytes.get(start..self.at), self.peek()) {
            (Some(b"L" | b"u" | b"U" | b"u8"), Some(quote @ (b'"' | b'\''))) => self.quoted(quote),
            _ => TokenKind::Identifier,
        }
    }

    fn number(&mut self) {
        while let Some(byte) = self.peek() {
            let signed = matches!(byte, b'e' | b'E' | b'p' | b'P') && matches!(self.peek_second(), Some(b'+' | b'-'));
            if signed {
                self.bump();
            } else if !is_identifier(byte) && byte != b'.' {
                return;
            }
            self.bump();
        }
    }
}

/// Letters, `_`, `$` as clang allows it, and every byte of a character outside ASCII.
fn is_identifier_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn is_identifier(byte: u8) -> bool {
    is_identifier_start(byte) || byte.is_ascii_digit()
}

#[cfg(test)]
mod tests;
