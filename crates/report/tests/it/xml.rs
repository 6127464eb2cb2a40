//! Parsing of rendered drawings.

use roxmltree::{Document, Node};

/// Parses a drawing or page; fails if it is not well-formed.
#[track_caller]
pub(crate) fn parse(text: &str) -> Document<'_> {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    match Document::parse_with_options(text, options) {
        Ok(document) => document,
        Err(e) => panic!("{e} in\n{text}"),
    }
}

/// Returns the visible texts, in order.
pub(crate) fn seen(document: &Document<'_>) -> Vec<String> {
    document.descendants().filter(|n| n.has_tag_name(tag("text"))).map(|n| own_text(&n)).collect()
}

/// Returns the tooltips.
pub(crate) fn tooltips(document: &Document<'_>) -> Vec<String> {
    document.descendants().filter(|n| n.has_tag_name(tag("title"))).map(|n| own_text(&n)).collect()
}

/// Returns the elements called `name`.
pub(crate) fn elements<'a>(document: &'a Document<'a>, name: &'a str) -> Vec<Node<'a, 'a>> {
    document.descendants().filter(|n| n.is_element() && n.tag_name().name() == name).collect()
}

/// Returns a numeric attribute of an element.
#[track_caller]
pub(crate) fn number(node: &Node<'_, '_>, attribute: &str) -> f64 {
    let text = node.attribute(attribute).unwrap_or_else(|| panic!("{node:?} has no {attribute}"));
    text.parse().unwrap_or_else(|e| panic!("{attribute} is `{text}`: {e}"))
}

fn tag(name: &'static str) -> (&'static str, &'static str) {
    ("http://www.w3.org/2000/svg", name)
}

fn own_text(node: &Node<'_, '_>) -> String {
    node.children().filter(Node::is_text).filter_map(|n| n.text()).collect()
}
