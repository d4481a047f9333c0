//! The tables within a table.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::desk::tick;
use crate::section::{Section, in_text_order};
use crate::suggest;
use crate::value::Spanned;

impl<'a> Section<'a> {
    /// The table at `key`, when it is there.
    pub fn section(&mut self, key: &str) -> Option<Section<'a>> {
        let value = self.value(key)?;
        match value.node.get_ref() {
            DeValue::Table(table) => Some(self.child(key, table, value.span())),
            DeValue::Array(array) if array.iter().any(|element| element.get_ref().is_table()) => {
                let help = format!("write `[{}]`, once", self.path_to(key));
                let message = format!("there can be only one {}", tick(key));
                self.desk.push(value.span(), message, "an array of tables", Some(help));
                None
            }
            _ => value.wrong_type("a section", &format!("write `[{}]`", self.path_to(key))),
        }
    }

    /// The table at `key`; that it is missing is a problem, too.
    pub fn required_section(&mut self, key: &str) -> Option<Section<'a>> {
        if !self.has(key) {
            self.known(&[key]);
            self.missing(key, &format!("add a section `[{}]`", self.path_to(key)));
        }
        self.section(key)
    }

    /// The tables of the array at `key`, in order; empty when it is not there.
    pub fn sections(&mut self, key: &str) -> Vec<Section<'a>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let help = format!("write `[[{}]]`, once for each", self.path_to(key));
        let DeValue::Array(array) = value.node.get_ref() else {
            value.wrong_type::<()>("an array of tables", &help);
            return Vec::new();
        };
        let elements = value.elements().unwrap_or_default();
        let tables =
            array.iter().zip(elements).filter_map(|(node, element)| match node.get_ref() {
                DeValue::Table(table) => Some(self.child(key, table, node.span())),
                _ => element.wrong_type("a table", &help),
            });
        tables.collect()
    }

    /// The tables `[key.NAME]`, in the order of the text; empty when there are none.
    pub fn named_sections(&mut self, key: &str) -> Vec<(Spanned<String>, Section<'a>)> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let help = format!("write `[{}.NAME]`, once for each", self.path_to(key));
        if !value.node.get_ref().is_table() {
            value.wrong_type::<()>("a section of named sections", &help);
            return Vec::new();
        }
        let path = self.path_to(key);
        let mut found = Vec::new();
        for (name, value) in value.entries().unwrap_or_default() {
            match value.node.get_ref() {
                DeValue::Table(table) => {
                    let path = format!("{path}.{}", name.value);
                    found.push((name, self.child_at(path, table, value.span())));
                }
                _ => {
                    value.wrong_type::<()>("a section", &help);
                }
            }
        }
        found.sort_by(|(a, _), (b, _)| in_text_order(&a.span, &b.span));
        found
    }

    /// The one table of `keys` that is there: its name picks the variant. None and several are
    /// problems.
    pub fn one_of_sections<'k>(&mut self, keys: &[&'k str]) -> Option<(&'k str, Section<'a>)> {
        let found = self.maybe_one_of_sections(keys);
        if found.is_none() && !keys.iter().any(|key| self.has(key)) {
            let sections: Vec<String> = keys.iter().map(|key| self.path_to(key)).collect();
            let sections: Vec<String> = sections.iter().map(|path| format!("[{path}]")).collect();
            let listed: Vec<&str> = sections.iter().map(String::as_str).collect();
            let message = format!("one of {} is missing{}", suggest::list(keys), self.place());
            let help = format!("add one of {}", suggest::list(&listed));
            self.desk.push(self.span(), message, "", Some(help));
        }
        found
    }

    /// The one table of `keys` that is there, if any. Several are a problem.
    pub fn maybe_one_of_sections<'k>(
        &mut self,
        keys: &[&'k str],
    ) -> Option<(&'k str, Section<'a>)> {
        self.known(keys);
        let table = self.table;
        let mut present: Vec<(&'k str, Range<usize>)> = keys
            .iter()
            .filter_map(|key| Some((*key, table.get_key_value(*key)?.0.span())))
            .collect();
        present.sort_by(|(_, a), (_, b)| in_text_order(a, b));
        let (first, _) = present.first().cloned()?;
        for (other, span) in present.iter().skip(1) {
            let message =
                format!("{} and {} exclude each other{}", tick(first), tick(other), self.place());
            let help = format!("keep one of {}", suggest::list(keys));
            self.desk.push(span.clone(), message, "one too many", Some(help));
        }
        Some((first, self.section(first)?))
    }

    fn path_to(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn child(&self, key: &str, table: &'a DeTable<'a>, span: Range<usize>) -> Section<'a> {
        self.child_at(self.path_to(key), table, span)
    }

    fn child_at(&self, path: String, table: &'a DeTable<'a>, span: Range<usize>) -> Section<'a> {
        Section::new(table, path, span, self.desk)
    }
}
