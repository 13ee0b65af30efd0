//! TOML texts read table by table, so that one bad entry is named and the rest is kept. Knows
//! neither rules nor policies.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::{DeserializeOwned, IntoDeserializer};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One entry of a configuration file that was refused, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingError {
    /// The file, as it was named.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// The key that stands there, if it can be told.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if let Some(key) = &self.key {
            write!(f, "`{key}`: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for MappingError {}

/// Why configuration files could not be read at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A file or directory cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A configuration text and the name it goes by in errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
}

impl<'a> Source<'a> {
    /// The top-level entries: each key with its value and span.
    pub(crate) fn entries(self) -> Result<Vec<(String, Spanned<DeValue<'a>>)>, MappingError> {
        let table = DeTable::parse(self.text).map_err(|error| self.syntax_error(&error))?;
        let mut entries: Vec<_> = table
            .into_inner()
            .into_iter()
            .map(|(key, value)| (key.into_inner().into_owned(), value))
            .collect();
        entries.sort_by_key(|(_, value)| value.span().start);
        Ok(entries)
    }

    /// One value as a `T`.
    pub(crate) fn read<T: DeserializeOwned>(
        self,
        value: Spanned<DeValue<'a>>,
    ) -> Result<T, MappingError> {
        let span = value.span();
        T::deserialize(value.into_deserializer()).map_err(|error| {
            let at = error.span().unwrap_or_else(|| span.clone());
            self.error(&at, error.message().to_owned())
        })
    }

    /// The elements of an array of tables; the error names `key` when it is something else.
    pub(crate) fn tables(
        self,
        key: &str,
        value: Spanned<DeValue<'a>>,
    ) -> Result<Vec<Spanned<DeValue<'a>>>, MappingError> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Array(array) => Ok(array.into_iter().collect()),
            other => Err(MappingError {
                key: Some(key.to_owned()),
                ..self.error(
                    &span,
                    format!("[[{key}]] tables are needed, not a {}", other.type_str()),
                )
            }),
        }
    }

    /// An error at `span`.
    pub(crate) fn error(self, span: &Range<usize>, message: String) -> MappingError {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.bytes().filter(|&byte| byte == b'\n').count();
        let key = self.text.lines().nth(line).and_then(key_of_line).map(str::to_owned);
        MappingError { file: self.file.to_owned(), line: line.saturating_add(1), key, message }
    }

    fn syntax_error(self, error: &toml::de::Error) -> MappingError {
        let at = error.span().unwrap_or(0..0);
        self.error(&at, error.message().to_owned())
    }
}

/// The files named by `paths`: each file itself, or the `.toml` files of a directory by name.
pub(crate) fn read_files(paths: &[PathBuf]) -> Result<Vec<(String, String)>, LoadError> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(toml_files(path)?);
        } else {
            files.push(path.clone());
        }
    }
    files.iter().map(|path| Ok((path.display().to_string(), read_file(path)?))).collect()
}

pub(crate) fn read_file(path: &Path) -> Result<String, LoadError> {
    std::fs::read_to_string(path)
        .map_err(|source| LoadError::Read { path: path.to_owned(), source })
}

fn toml_files(directory: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let failed = |source| LoadError::Read { path: directory.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn key_of_line(line: &str) -> Option<&str> {
    let key = line.split('=').next()?.trim().trim_matches(['[', ']', '"']);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (!key.is_empty() && key.bytes().all(plain)).then_some(key)
}
