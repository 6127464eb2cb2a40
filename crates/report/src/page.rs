//! Self-contained HTML documents.

use std::fmt::Write as _;
use std::path::Path;

use tinsmith_foundation::files;

use crate::error::Result;
use crate::text::escape;

/// Content security policy that makes the browser load and run nothing, so that a page depends on its file alone.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

const STYLE: &str = "\
:root{color-scheme:light dark}*{box-sizing:border-box}\
body{margin:0;background:#f6f8fa;color:#1f2328;line-height:1.5;\
font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,'DejaVu Sans',sans-serif}\
main{max-width:1160px;margin:0 auto;padding:24px 20px 64px}\
h1{font-size:1.75rem;line-height:1.25;margin:.4em 0 .1em;overflow-wrap:anywhere}\
.subtitle{color:#59636e;margin:0 0 1.2em;overflow-wrap:anywhere}\
h2{font-size:1.25rem;margin:2em 0 .6em;padding-bottom:.25em;border-bottom:1px solid #d1d9e0;overflow-wrap:anywhere}\
p{max-width:46rem;overflow-wrap:anywhere;white-space:pre-line}\
figure{margin:0 0 20px;padding:10px;background:#fff;border:1px solid #d1d9e0;border-radius:8px;max-width:100%}\
figure.chart{width:fit-content}.wide{overflow-x:auto}.wide>svg{display:block;margin:0 auto}\
figcaption{color:#59636e;font-size:.875rem;padding:8px 6px 2px;overflow-wrap:anywhere}\
.row{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,30rem),1fr));gap:20px;align-items:start;margin:0 0 20px}\
.row figure{margin:0;width:auto;min-width:0}\
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}\
table.full{min-width:min(100%,32rem)}\
th,td{padding:6px 14px;text-align:left;border-bottom:1px solid #e4e7eb;vertical-align:top}\
th{font-weight:600;color:#59636e;white-space:nowrap}tr:last-child td{border-bottom:0}\
.number{text-align:right;white-space:nowrap}\
figure.table{width:fit-content}\
details{margin:0 0 20px;background:#fff;border:1px solid #d1d9e0;border-radius:8px}\
summary{cursor:pointer;padding:10px 14px;font-weight:600}\
pre{margin:0;padding:6px 16px 14px;overflow-x:auto;font:.82rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}\
@media screen and (max-width:600px){main{padding:12px 8px 40px}figure{padding:6px}h1{font-size:1.4rem}th,td{padding:5px 9px}}\
@media screen and (prefers-color-scheme:dark){\
body{background:#010409;color:#e6edf3}.subtitle,figcaption,th{color:#9198a1}\
figure,details{background:#0d1117;border-color:#3d444d}h2{border-color:#3d444d}th,td{border-color:#262c36}}\
@media print{body{background:#fff}figure,details{break-inside:avoid}.wide>svg{min-width:0!important}}";

/// A table of text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// Column names.
    pub header: Vec<String>,
    /// Rows; short rows are padded with empty cells. Columns of numbers are right-aligned.
    pub rows: Vec<Vec<String>>,
    /// Caption.
    pub caption: String,
}

/// A page, built from top to bottom and rendered as one self-contained HTML document without scripts, fonts or network
/// access. It is legible on light and dark backgrounds, on paper and on phones. All text is escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    title: String,
    subtitle: String,
    body: String,
}

impl Page {
    /// Creates an empty page.
    pub fn new(title: impl Into<String>, subtitle: impl Into<String>) -> Self {
        Self { title: title.into(), subtitle: subtitle.into(), body: String::new() }
    }

    /// Starts a section.
    pub fn heading(&mut self, text: &str) -> &mut Self {
        let _ = writeln!(self.body, "<h2>{}</h2>", escape(text));
        self
    }

    /// Adds a paragraph and keeps its line breaks.
    pub fn text(&mut self, paragraph: &str) -> &mut Self {
        let _ = writeln!(self.body, "<p>{}</p>", escape(paragraph));
        self
    }

    /// Adds a table.
    pub fn table(&mut self, table: &Table) -> &mut Self {
        let columns = table.rows.iter().map(Vec::len).chain([table.header.len()]).max().unwrap_or(0);
        let is_number: Vec<bool> = (0..columns).map(|k| is_numeric(table, k)).collect();
        let class = |k: usize| if is_number[k] { r#" class="number""# } else { "" };
        self.body.push_str("<figure class=\"table\"><div class=\"wide\"><table class=\"full\">\n");
        let row = |cells: &[String], tag: &str| {
            let mut line = String::from("<tr>");
            for k in 0..columns {
                let text = cells.get(k).map(|c| escape(c)).unwrap_or_default();
                let _ = write!(line, "<{tag}{}>{text}</{tag}>", class(k));
            }
            line.push_str("</tr>\n");
            line
        };
        if !table.header.is_empty() {
            let _ = write!(self.body, "<thead>{}</thead>", row(&table.header, "th"));
        }
        self.body.push_str("<tbody>");
        for cells in &table.rows {
            self.body.push_str(&row(cells, "td"));
        }
        self.body.push_str("</tbody></table></div>");
        if table.rows.is_empty() {
            self.body.push_str("<figcaption>no data</figcaption>");
        }
        self.caption(&table.caption);
        self.body.push_str("</figure>\n");
        self
    }

    /// Adds a drawing rendered by this crate. SVG is inserted verbatim; anything else is shown as text.
    pub fn chart(&mut self, caption: &str, svg: &str) -> &mut Self {
        self.figure(caption, svg);
        self
    }

    /// Adds drawings, side by side if there is room.
    pub fn chart_row<C: AsRef<str>, S: AsRef<str>>(
        &mut self,
        charts: impl IntoIterator<Item = (C, S)>,
    ) -> &mut Self {
        self.body.push_str("<div class=\"row\">\n");
        for (caption, svg) in charts {
            self.figure(caption.as_ref(), svg.as_ref());
        }
        self.body.push_str("</div>\n");
        self
    }

    /// Adds preformatted text that expands when its summary is clicked, for example a specification.
    pub fn details(&mut self, summary: &str, preformatted: &str) -> &mut Self {
        let (summary, text) = (escape(summary), escape(preformatted));
        let _ = writeln!(self.body, "<details><summary>{summary}</summary><pre>{text}</pre></details>");
        self
    }

    /// Renders the document.
    #[must_use]
    pub fn to_html(&self) -> String {
        let (title, subtitle) = (escape(&self.title), escape(&self.subtitle));
        let subtitle =
            if subtitle.is_empty() { subtitle } else { format!("<p class=\"subtitle\">{subtitle}</p>\n") };
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\"/>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n\
             {subtitle}{}</main>\n</body>\n</html>\n",
            self.body
        )
    }

    /// Writes the document atomically.
    ///
    /// # Errors
    /// [`crate::ReportError::File`] if writing fails.
    pub fn save(&self, path: &Path) -> Result<()> {
        Ok(files::write_atomic(path, self.to_html().as_bytes())?)
    }

    fn figure(&mut self, caption: &str, svg: &str) {
        self.body.push_str("<figure class=\"chart\"><div class=\"wide\">");
        if svg.trim_start().starts_with("<svg") {
            self.body.push_str(svg.trim());
        } else {
            let _ = write!(self.body, "<pre>{}</pre>", escape(svg));
        }
        self.body.push_str("</div>");
        self.caption(caption);
        self.body.push_str("</figure>\n");
    }

    fn caption(&mut self, caption: &str) {
        if !caption.is_empty() {
            let _ = write!(self.body, "<figcaption>{}</figcaption>", escape(caption));
        }
    }
}

/// Reports if the cells of a column are numbers (with units and signs) or empty, and not all empty.
fn is_numeric(table: &Table, column: usize) -> bool {
    let mut cells = table.rows.iter().filter_map(|row| row.get(column)).map(|c| c.trim()).peekable();
    let is_filled = |c: &str| !matches!(c, "" | "-" | "–" | "—");
    cells.clone().any(is_filled)
        && cells.all(|c| {
            !is_filled(c)
                || c.trim_start_matches(['-', '+', '−', '±']).starts_with(|c: char| c.is_ascii_digit())
        })
}
