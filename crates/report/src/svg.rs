//! Writing of SVG: elements, text, and the colors of both themes.

use std::fmt::Write as _;

use crate::text::escape;

/// Number of series colors.
pub(crate) const COLORS: usize = 8;

/// Font size of tick labels, legends and captions.
pub(crate) const SMALL: f64 = 12.0;

/// Style sheet. Elements carry classes instead of colors, so that one drawing suits light and dark backgrounds. The dark
/// theme is for `screen` only, since paper is light.
const STYLE: &str = "\
.tinsmith{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,'DejaVu Sans',sans-serif;\
font-size:12px;color-scheme:light dark}\
.tinsmith text{fill:#1f2328}.tinsmith .title{font-size:16px;font-weight:600}.tinsmith .strong{font-weight:600}\
.tinsmith .muted{fill:#59636e}.tinsmith .on{fill:#fff}.tinsmith .end{text-anchor:end}.tinsmith .middle{text-anchor:middle}\
.tinsmith .back{fill:#fff}.tinsmith .grid{stroke:#e4e7eb}.tinsmith .axis{stroke:#8c959f}\
.tinsmith .front{stroke:#1f2328;fill:none;stroke-width:1.5}\
.tinsmith .limit{stroke:#cf222e;stroke-width:1.5;stroke-dasharray:6 4}.tinsmith .limit-text{fill:#cf222e}\
.tinsmith .box{fill:#f6f8fa;stroke:#afb8c1}.tinsmith .edge{stroke:#6e7781;stroke-width:1.5;fill:none}\
.tinsmith .tip{fill:#6e7781}.tinsmith .track{fill:#e4e7eb}.tinsmith .cell{stroke:#d0d7de;stroke-width:.5}\
.tinsmith .s0{color:#0969da}.tinsmith .s1{color:#bc4c00}.tinsmith .s2{color:#1a7f37}.tinsmith .s3{color:#8250df}\
.tinsmith .s4{color:#bf3989}.tinsmith .s5{color:#9a6700}.tinsmith .s6{color:#0e7c86}.tinsmith .s7{color:#57606a}\
@media screen and (prefers-color-scheme:dark){\
.tinsmith text{fill:#e6edf3}.tinsmith .muted{fill:#9198a1}.tinsmith .on{fill:#fff}.tinsmith .back{fill:#0d1117}\
.tinsmith .grid{stroke:#262c36}.tinsmith .axis{stroke:#6e7681}.tinsmith .front{stroke:#e6edf3}\
.tinsmith .limit{stroke:#ff7b72}.tinsmith .limit-text{fill:#ff7b72}\
.tinsmith .box{fill:#161b22;stroke:#484f58}.tinsmith .edge{stroke:#8b949e}.tinsmith .tip{fill:#8b949e}\
.tinsmith .track{fill:#262c36}.tinsmith .cell{stroke:#30363d}\
.tinsmith .s0{color:#4493f8}.tinsmith .s1{color:#f0883e}.tinsmith .s2{color:#3fb950}.tinsmith .s3{color:#ab7df8}\
.tinsmith .cell.s0{color:#1f6feb}.tinsmith .cell.s1{color:#bd561d}\
.tinsmith .s4{color:#f778ba}.tinsmith .s5{color:#d29922}.tinsmith .s6{color:#39c5cf}.tinsmith .s7{color:#9198a1}}";

/// A drawing, built element by element.
#[derive(Debug, Default)]
pub(crate) struct Svg {
    body: String,
}

impl Svg {
    /// Opens a group; `attributes` are written verbatim.
    pub(crate) fn open(&mut self, attributes: &str) {
        let _ = writeln!(self.body, "<g {attributes}>");
    }

    /// Closes the innermost group.
    pub(crate) fn close(&mut self) {
        self.body.push_str("</g>\n");
    }

    pub(crate) fn rect(&mut self, [x, y, w, h]: [f64; 4], attributes: &str, tooltip: &str) {
        let (x, y, w, h) = (coordinate(x), coordinate(y), coordinate(w.max(0.0)), coordinate(h.max(0.0)));
        let _ = write!(self.body, r#"<rect x="{x}" y="{y}" width="{w}" height="{h}" {attributes}"#);
        self.end("rect", tooltip);
    }

    pub(crate) fn line(&mut self, [x1, y1, x2, y2]: [f64; 4], class: &str) {
        let (x1, y1, x2, y2) = (coordinate(x1), coordinate(y1), coordinate(x2), coordinate(y2));
        let _ = writeln!(self.body, r#"<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" class="{class}"/>"#);
    }

    pub(crate) fn circle(&mut self, [x, y]: [f64; 2], radius: f64, attributes: &str, tooltip: &str) {
        let (x, y, r) = (coordinate(x), coordinate(y), coordinate(radius));
        let _ = write!(self.body, r#"<circle cx="{x}" cy="{y}" r="{r}" {attributes}"#);
        self.end("circle", tooltip);
    }

    pub(crate) fn path(&mut self, commands: &str, attributes: &str, tooltip: &str) {
        let _ = write!(self.body, r#"<path d="{}" {attributes}"#, commands.trim_end());
        self.end("path", tooltip);
    }

    /// Writes text with its baseline at (`x`, `y`), anchored at its start or, by class, at its end or middle.
    pub(crate) fn text(&mut self, [x, y]: [f64; 2], class: &str, text: &str) {
        self.text_with([x, y], &format!(r#"class="{class}""#), text, "");
    }

    pub(crate) fn text_with(&mut self, [x, y]: [f64; 2], attributes: &str, text: &str, tooltip: &str) {
        let (x, y) = (coordinate(x), coordinate(y));
        let _ = write!(self.body, r#"<text x="{x}" y="{y}" {attributes}>{}"#, escape(text));
        if !tooltip.is_empty() {
            let _ = write!(self.body, "<title>{}</title>", escape(tooltip));
        }
        self.body.push_str("</text>\n");
    }

    fn end(&mut self, name: &str, tooltip: &str) {
        if tooltip.is_empty() {
            self.body.push_str("/>\n");
        } else {
            let _ = writeln!(self.body, "><title>{}</title></{name}>", escape(tooltip));
        }
    }

    /// Returns the document. In narrow containers it is scaled down to at least `least` pixels.
    pub(crate) fn finish(self, width: f64, height: f64, least: f64, label: &str) -> String {
        let (w, h, least) = (coordinate(width), coordinate(height), coordinate(least.min(width)));
        format!(
            concat!(
                r#"<svg xmlns="http://www.w3.org/2000/svg" class="tinsmith" viewBox="0 0 {w} {h}" width="{w}" height="{h}" "#,
                r#"style="max-width:100%;min-width:{least}px;height:auto" role="img" aria-label="{label}">"#,
                "\n<style>{style}</style>\n",
                r#"<rect class="back" width="{w}" height="{h}"/>"#,
                "\n{body}</svg>\n"
            ),
            w = w,
            h = h,
            least = least,
            label = escape(label),
            style = STYLE,
            body = self.body,
        )
    }
}

/// Formats a coordinate, rounded to a hundredth of a pixel.
pub(crate) fn coordinate(value: f64) -> String {
    let rounded = (value * 100.0).round() / 100.0;
    if rounded == 0.0 { "0".to_owned() } else { format!("{rounded}") }
}

/// Returns the color class of series `index`.
pub(crate) fn color(index: usize) -> String {
    format!("s{}", index % COLORS)
}
