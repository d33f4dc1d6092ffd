//! Writing SVG: a few shapes, and text that is always escaped.

use std::fmt::{Display, Write};

/// XML's special characters as references; what XML cannot hold becomes U+FFFD.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(' '),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// About how wide a text is in a sans-serif face of that size. Faces differ: it errs to the wide side.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let em = |c: char| match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '|' | '!' | '\'' => 0.32,
        ' ' | 'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '/' | '-' => 0.40,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.93,
        'A'..='Z' => 0.72,
        c if c.is_ascii() => 0.61,
        // wide scripts take a whole square
        c if c >= '\u{1100}' => 1.0,
        _ => 0.68,
    };
    text.chars().map(em).sum::<f64>() * size
}

/// A text cut to a width, with an ellipsis.
pub(super) fn cut(text: &str, size: f64, most: f64) -> String {
    if width(text, size) <= most {
        return text.to_string();
    }
    let mut out = String::new();
    for c in text.chars() {
        if width(&out, size) + width("…m", size) > most {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

#[derive(Default)]
pub(super) struct Svg {
    body: String,
}

impl Svg {
    /// A rectangle with rounded corners; `style` is our own text.
    pub fn rect(&mut self, (x, y): (f64, f64), (w, h): (f64, f64), radius: f64, style: &str) {
        let _ = writeln!(self.body, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" rx=\"{radius}\" {style}/>");
    }
    pub fn text(&mut self, (x, y): (f64, f64), size: f64, style: &str, text: &str) {
        let _ = writeln!(self.body, "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" {style}>{}</text>", escape(text));
    }
    /// A text in the middle of `x`.
    pub fn centred(&mut self, at: (f64, f64), size: f64, style: &str, text: &str) {
        self.text(at, size, &format!("text-anchor=\"middle\" {style}"), text);
    }
    /// A text in the middle of `x` on a ground of its own, so that lines below it do not disturb.
    pub fn label(&mut self, (x, y): (f64, f64), size: f64, style: &str, ground: &str, text: &str) {
        let wide = width(text, size) + 2.0;
        let style_of_ground = format!("fill=\"{ground}\"");
        self.rect((x - wide / 2.0, y - size), (wide, size + 3.5), 3.0, &style_of_ground);
        self.centred((x, y), size, style, text);
    }
    pub fn path(&mut self, d: &str, style: &str) {
        let _ = writeln!(self.body, "<path d=\"{d}\" {style}/>");
    }
    /// A group of shapes with a text that viewers show under the pointer.
    pub fn open(&mut self, title: impl Display) {
        let _ = writeln!(self.body, "<g><title>{}</title>", escape(&title.to_string()));
    }
    pub fn close(&mut self) {
        self.body.push_str("</g>\n");
    }
    pub fn finish(self, width: f64, height: f64, title: &str, head: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             font-family=\"Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif\">\n<title>{}</title>\n{head}{}</svg>\n",
            escape(title),
            self.body
        )
    }
}

/// A smooth way through points, upright at each of them.
pub(super) fn smooth(points: &[(f64, f64)]) -> String {
    let mut out = String::new();
    let mut points = points.to_vec();
    // an arrow's head takes its direction from the last piece, which must have one
    points.dedup_by(|b, a| (a.0 - b.0).abs() < 0.5 && (a.1 - b.1).abs() < 0.5);
    for (i, (x, y)) in points.iter().enumerate() {
        let _ = match i.checked_sub(1).map(|p| points[p]) {
            None => write!(out, "M{x:.1} {y:.1}"),
            Some((px, _)) if (px - x).abs() < 0.5 => write!(out, " L{x:.1} {y:.1}"),
            Some((px, py)) => {
                let middle = (py + y) / 2.0;
                write!(out, " C{px:.1} {middle:.1} {x:.1} {middle:.1} {x:.1} {y:.1}")
            }
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_break_out() {
        assert_eq!(escape("a<b>&\"c'\u{1}é"), "a&lt;b&gt;&amp;&quot;c&#39;\u{fffd}é");
        let mut svg = Svg::default();
        svg.text((0.0, 0.0), 10.0, "", "</text><script>");
        let text = svg.finish(1.0, 1.0, "<t>", "");
        assert!(!text.contains("<script>") && !text.contains("<t>"), "{text}");
    }

    #[test]
    fn cut_texts_fit() {
        let long = "a rather long text that says more than fits";
        assert_eq!(cut("short", 10.0, 100.0), "short");
        assert!(width(&cut(long, 10.0, 100.0), 10.0) <= 110.0 && cut(long, 10.0, 100.0).ends_with('…'));
    }
}
