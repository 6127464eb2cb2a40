//! The page as a document.

use tinsmith_report::{Axis, LineSeries, Lines, Page, Table};

use crate::xml::{elements, parse};

fn cells(rows: &[[&str; 2]]) -> Vec<Vec<String>> {
    rows.iter().map(|row| row.iter().map(|c| (*c).to_owned()).collect()).collect()
}

fn curve() -> String {
    let points = vec![(1.0, 0.9), (2.0, 0.5)];
    let series = vec![LineSeries { name: "loss".to_owned(), points, ..LineSeries::default() }];
    let chart = Lines { title: "Loss".to_owned(), x: Axis::linear("epoch"), y: Axis::log("loss"), series };
    chart.to_svg().unwrap()
}

fn page() -> Page {
    let mut page = Page::new("Gestures <& more>", "fits into 64 KiB");
    page.heading("Result").text("Smaller & faster.\nBy far.");
    page.table(&Table {
        header: vec!["measure".to_owned(), "value".to_owned()],
        rows: cells(&[["flash", "12.3 KiB"], ["accuracy", "97.1% ± 0.2"], ["energy", "–"]]),
        caption: "The winner".to_owned(),
    });
    page.chart("How it learned", &curve());
    page.chart_row([("left", curve()), ("right", curve())]);
    page.details("Specification", "layers:\n  - {name: <x>}");
    page
}

/// Returns the outline of a page: elements with their texts, without drawings.
fn outline(node: roxmltree::Node<'_, '_>, out: &mut Vec<String>) {
    let name = node.tag_name().name();
    if ["style", "svg"].contains(&name) {
        out.push(name.to_owned());
        return;
    }
    let text: String = node.children().filter(roxmltree::Node::is_text).filter_map(|n| n.text()).collect();
    let class = node.attribute("class").map(|c| format!(".{c}")).unwrap_or_default();
    out.push(format!("{name}{class} {}", text.trim()).trim().to_owned());
    for child in node.children().filter(roxmltree::Node::is_element) {
        outline(child, out);
    }
}

#[test]
fn a_small_page_is_made_of_what_was_put_in() {
    let html = page().to_html();
    let document = parse(&html);
    let body = elements(&document, "main")[0];
    let mut found = Vec::new();
    outline(body, &mut found);
    let want = "main
h1 Gestures <& more>
p.subtitle fits into 64 KiB
h2 Result
p Smaller & faster.\nBy far.
figure.table
div.wide
table.full
thead
tr
th measure
th.number value
tbody
tr
td flash
td.number 12.3 KiB
tr
td accuracy
td.number 97.1% ± 0.2
tr
td energy
td.number –
figcaption The winner
figure.chart
div.wide
svg
figcaption How it learned
div.row
figure.chart
div.wide
svg
figcaption left
figure.chart
div.wide
svg
figcaption right
details
summary Specification
pre layers:\n  - {name: <x>}";
    assert_eq!(found.join("\n"), want);
}

#[test]
fn a_page_needs_nothing_but_itself() {
    let html = page().to_html();
    let document = parse(&html);
    for name in ["script", "link", "img", "iframe", "object", "image", "use"] {
        assert!(elements(&document, name).is_empty(), "{name}");
    }
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        assert!(
            node.attributes().all(|a| !matches!(a.name(), "src" | "href") && !a.name().starts_with("on"))
        );
    }
    assert!(!html.contains("url(") && !html.contains("@import"));
    assert!(html.contains("default-src 'none'"));
}

#[test]
fn ragged_tables_are_filled_up_and_empty_ones_say_so() {
    let mut page = Page::new("t", "");
    let rows = vec![vec!["a".to_owned()], vec!["b".to_owned(), "1".to_owned(), "<2>".to_owned()]];
    page.table(&Table { header: vec!["x".to_owned()], rows, caption: String::new() });
    page.table(&Table::default());
    let html = page.to_html();
    let document = parse(&html);
    assert_eq!(elements(&document, "td").len(), 6);
    assert_eq!(elements(&document, "th").len(), 3);
    assert!(elements(&document, "figcaption").iter().any(|n| n.text() == Some("no data")));
}

#[test]
fn text_that_is_no_drawing_is_shown_as_text() {
    let mut page = Page::new("t", "");
    page.chart("", "<script>alert(1)</script>");
    let html = page.to_html();
    assert!(elements(&parse(&html), "script").is_empty());
    assert!(html.contains("&lt;script&gt;"));
}

#[test]
fn the_same_page_is_the_same_bytes_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new").join("report.html");
    page().save(&path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), page().to_html());
    let beside = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(beside, 1, "nothing is left beside it");
    let error = page().save(&path.join("below_a_file.html")).unwrap_err();
    assert!(error.to_string().starts_with("cannot write"), "{error}");
}
