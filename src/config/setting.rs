//! What a setting is: declared once, it gives the parser, the error text, the documentation and the example.

use super::convert::{self, FromTyped};
use super::issue::{Issues, Told};
use super::keys::ROOT;
use super::nearest::nearest;
use super::place::Place;
use super::tree::{Entries, Entry, Node, Value};

/// The type and range of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text of 1 to `max` characters without control characters.
    Text {
        /// Most characters.
        max: usize,
    },
    /// `[A-Za-z0-9_-]{1,36}`.
    Id,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int {
        /// Least.
        min: i64,
        /// Most.
        max: i64,
    },
    /// One of a few whole numbers.
    OneOfInt(&'static [i64]),
    /// One of a few words.
    OneOf(&'static [&'static str]),
    /// A time, in milliseconds.
    Time {
        /// Least.
        min: i64,
        /// Most.
        max: i64,
        /// What zero means, where zero is allowed below `min`.
        zero: Option<&'static str>,
    },
    /// A current, in milliampere.
    Current {
        /// Least.
        min: i64,
        /// Most.
        max: i64,
        /// What zero means, where zero is allowed below `min`.
        zero: Option<&'static str>,
    },
    /// A voltage, in millivolt.
    Voltage {
        /// Least.
        min: i64,
        /// Most.
        max: i64,
    },
    /// An amount of data, in bytes.
    Data {
        /// Least.
        min: i64,
        /// Most.
        max: i64,
    },
    /// A path; relative ones start from the folder of the file they are written in.
    Path,
    /// Text that is never shown.
    Secret,
    /// A list of texts.
    Texts,
    /// A table of free names and plain values.
    Open,
}

/// What holds when a setting is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fallback {
    /// It must be there.
    Required,
    /// Nothing; the words say what happens then.
    Absent(&'static str),
    /// This value, written as in the file but without quotes.
    Is(&'static str),
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its type and range.
    pub kind: Kind,
    /// Its default.
    pub fallback: Fallback,
    /// A value as written in TOML.
    pub example: &'static str,
    /// What it does, in one or two sentences.
    pub help: &'static str,
}

/// A table of settings.
#[derive(Debug)]
pub(super) struct Table {
    /// Its name with the tables it is in.
    pub path: &'static str,
    /// Whether it is written with double brackets.
    pub many: bool,
    /// What it describes.
    pub help: &'static str,
    /// Its settings.
    pub keys: &'static [Key],
    /// Tables in it.
    pub tables: &'static [&'static Table],
}

impl Table {
    /// The last part of the path.
    pub fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    /// The header as it is written.
    pub fn header(&self) -> String {
        if self.many {
            format!("[[{}]]", self.path)
        } else {
            format!("[{}]", self.path)
        }
    }

    fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// A setting's name with its table.
    pub fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys
            .iter()
            .map(|key| key.name)
            .chain(self.tables.iter().map(|table| table.name()))
    }
}

/// A setting as read.
#[derive(Clone, Debug)]
pub(super) struct Given<T> {
    /// The value, or the default; `None` where there is none or it was wrong (and has been told).
    pub value: Option<T>,
    /// The value's place, or that of the table's header.
    pub at: Place,
    /// It stands in a file or the environment.
    pub written: bool,
    /// Name with tables.
    pub path: String,
}

impl<T> Given<T> {
    /// Whether it was written but wrong; what depends on it must not be complained about again.
    pub fn is_bad(&self) -> bool {
        self.written && self.value.is_none()
    }

    /// Notes an error at the value.
    pub fn error(
        &self,
        found: &mut Issues,
        problem: impl Into<String>,
        expected: impl Into<String>,
        next: impl Into<String>,
    ) {
        found.error(self.at, Told::new(&self.path, problem, expected, next));
    }

    /// Notes a warning at the value.
    pub fn warning(
        &self,
        found: &mut Issues,
        problem: impl Into<String>,
        expected: impl Into<String>,
        next: impl Into<String>,
    ) {
        found.warning(self.at, Told::new(&self.path, problem, expected, next));
    }
}

/// One table of the file, opened for reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'a> {
    table: &'static Table,
    entries: &'a Entries,
    /// Its header.
    pub at: Place,
}

/// What stands in a table that is not there.
static NOTHING: Entries = Entries::new();

impl<'a> Section<'a> {
    /// A table that is not there: every setting has its default.
    pub fn empty(table: &'static Table, at: Place) -> Self {
        Self {
            table,
            entries: &NOTHING,
            at,
        }
    }

    /// Opens a table and complains about every key in it that nobody declared.
    pub fn open(table: &'static Table, node: &'a Node, found: &mut Issues) -> Option<Self> {
        let Value::Table(entries) = &node.value else {
            found.error(
                node.at,
                Told::new(
                    table.path,
                    format!("{} where a table belongs", node.show()),
                    format!("a table {}", table.header()),
                    format!(
                        "write {} on a line of its own and the settings below it",
                        table.header()
                    ),
                ),
            );
            return None;
        };
        for (name, entry) in entries {
            if table.names().all(|known| known != name) && alias(table, name).is_none() {
                unknown(table, name, entry, found);
            }
        }
        Some(Self {
            table,
            entries,
            at: node.at,
        })
    }

    /// Reads a declared setting; what is wrong with it is told here.
    pub fn get<T: FromTyped>(&self, name: &'static str, found: &mut Issues) -> Given<T> {
        let mut given = Given {
            value: None,
            at: self.at,
            written: false,
            path: self.table.path_of(name),
        };
        let Some(key) = self.table.key(name) else {
            debug_assert!(false, "{name} is not declared in {}", self.table.path);
            return given;
        };
        let Some((entry, unit)) = self.entry(key, found) else {
            match key.fallback {
                Fallback::Required => found.error(
                    self.at,
                    Told::new(
                        &given.path,
                        "is missing",
                        convert::expectation(key.kind),
                        format!("add {name} = {}", key.example),
                    ),
                ),
                Fallback::Is(text) => {
                    let node = Node {
                        at: self.at,
                        value: Value::Raw(text.to_owned()),
                    };
                    given.value = convert::read(key, &node, None).ok().and_then(T::from_typed);
                }
                Fallback::Absent(_) => {}
            }
            return given;
        };
        given.written = true;
        given.at = entry.node.at;
        match convert::read(key, &entry.node, unit) {
            Ok(typed) => given.value = T::from_typed(typed),
            Err(flaw) => {
                let at = flaw.at.unwrap_or(entry.node.at);
                found.setting(
                    at,
                    Told::new(&given.path, flaw.problem, flaw.expected, flaw.suggestion),
                );
            }
        }
        given
    }

    /// The entry of a key, by its name or with its unit as an ending.
    fn entry(&self, key: &Key, found: &mut Issues) -> Option<(&'a Entry, Option<&'static str>)> {
        let mut chosen = self.entries.get(key.name).map(|entry| (entry, None));
        for (ending, unit) in convert::dimension(key.kind).map_or(&[][..], |dimension| dimension.suffixes()) {
            let name = format!("{}{ending}", key.name);
            let Some(entry) = self.entries.get(&name) else {
                continue;
            };
            if chosen.is_some() {
                found.error(
                    entry.key_at,
                    Told::new(
                        self.table.path_of(&name),
                        format!("says the same as {}, which is there too", key.name),
                        "one of the two",
                        "remove this line",
                    ),
                );
            } else {
                chosen = Some((entry, Some(*unit)));
            }
        }
        chosen
    }

    /// The sub-tables of one kind, in the order of the file.
    pub fn tables(&self, table: &'static Table, found: &mut Issues) -> Vec<Section<'a>> {
        let Some(entry) = self.entries.get(table.name()) else {
            return Vec::new();
        };
        match (&entry.node.value, table.many) {
            (Value::List(items), true) => items
                .iter()
                .filter_map(|item| Section::open(table, item, found))
                .collect(),
            (Value::List(items), false) => {
                let told = brackets(table, "double brackets, but there is only one such table");
                found.setting(entry.key_at, told);
                items
                    .iter()
                    .take(1)
                    .filter_map(|item| Section::open(table, item, found))
                    .collect()
            }
            (_, true) => {
                found.setting(
                    entry.key_at,
                    brackets(table, "not a list, but there can be several"),
                );
                Section::open(table, &entry.node, found).into_iter().collect()
            }
            (_, false) => Section::open(table, &entry.node, found).into_iter().collect(),
        }
    }
}

fn brackets(table: &Table, problem: &str) -> Told {
    Told::new(
        table.path,
        format!("is {problem}"),
        table.header(),
        format!("write {}", table.header()),
    )
}

/// The setting that a name with a unit ending stands for.
fn alias(table: &Table, name: &str) -> Option<&'static Key> {
    table.keys.iter().find(|key| {
        convert::dimension(key.kind).is_some_and(|dimension| {
            let ending = name.strip_prefix(key.name);
            dimension
                .suffixes()
                .iter()
                .any(|(suffix, _)| ending == Some(suffix))
        })
    })
}

fn unknown(table: &'static Table, name: &str, entry: &Entry, found: &mut Issues) {
    let near = nearest(name, table.names());
    let list = table.names().collect::<Vec<_>>().join(", ");
    let suggestion = match (
        near,
        ROOT.tables.iter().find(|top| top.name() == name),
        ROOT.home_of(name, table),
    ) {
        (Some(near), ..) if near.len().abs_diff(name.len()) <= 2 => format!("did you mean '{near}'"),
        (_, Some(top), _) => format!("write {} at the top level", top.header()),
        (_, None, Some(home)) => format!("move it to {}", home.header()),
        (Some(near), None, None) => format!("did you mean '{near}'"),
        (None, None, None) => "remove it, or see docs/configuration.md".to_owned(),
    };
    found.setting(
        entry.key_at,
        Told::new(
            table.path_of(name),
            "there is no such key",
            format!("one of {list}"),
            suggestion,
        ),
    );
}

impl Table {
    /// The table, at any depth, in which a name is declared; not the one it was found in.
    fn home_of(&'static self, name: &str, except: &'static Table) -> Option<&'static Table> {
        let here = self.path != except.path && self.names().any(|known| known == name);
        if here && !self.path.is_empty() {
            return Some(self);
        }
        self.tables.iter().find_map(|table| table.home_of(name, except))
    }
}

/// Declares a table of settings: the struct they are read into, and the table that everything else is made from.
macro_rules! settings {
    (
        $(#[doc = $doc:literal])+
        $name:ident in $path:literal, many: $many:literal, tables: [$($sub:expr),*];
        $( $field:ident: $type:ty = $kind:expr, $fallback:expr, $example:literal, $help:literal; )*
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug)]
        pub(in crate::config) struct $name {
            $( #[doc = $help] pub $field: Given<$type>, )*
        }

        impl $name {
            /// The declaration.
            pub const TABLE: &'static Table = &Table {
                path: $path,
                many: $many,
                help: concat!($($doc),+),
                keys: &[$( Key {
                    name: stringify!($field),
                    kind: $kind,
                    fallback: $fallback,
                    example: $example,
                    help: $help,
                } ),*],
                tables: &[$($sub),*],
            };

            /// Reads every setting of a table.
            pub fn read(section: &Section<'_>, found: &mut Issues) -> Self {
                Self { $( $field: section.get(stringify!($field), found), )* }
            }
        }
    };
}
pub(super) use settings;
