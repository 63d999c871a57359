//! The embedded font: how wide a text is, and the letters of PNG figures.
//!
//! A viewer of the SVG may lack it and take Helvetica or Arial, which are narrower: what fits here fits there.

use std::sync::{Arc, OnceLock};

use resvg::usvg::fontdb::{Database, Source};
use ttf_parser::Face;

const REGULAR: &[u8] = include_bytes!("font/Inter-Regular.otf");
const SEMI_BOLD: &[u8] = include_bytes!("font/Inter-SemiBold.otf");

/// The weights that are embedded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// 400.
    Regular,
    /// 600.
    SemiBold,
}

impl Weight {
    fn face(self) -> &'static Face<'static> {
        static FACES: OnceLock<[Face<'static>; 2]> = OnceLock::new();
        let parse = |bytes| Face::parse(bytes, 0).expect("the embedded fonts are sound");
        let [regular, semi_bold] = FACES.get_or_init(|| [parse(REGULAR), parse(SEMI_BOLD)]);
        match self {
            Weight::Regular => regular,
            Weight::SemiBold => semi_bold,
        }
    }
}

/// Width of `text` in pixels at `size`, without kerning; a letter that the font lacks counts as wide as it is high.
pub fn width(text: &str, size: f64, weight: Weight) -> f64 {
    let face = weight.face();
    let em = f64::from(face.units_per_em());
    let advance =
        |c| face.glyph_index(c).and_then(|glyph| face.glyph_hor_advance(glyph)).map_or(em, f64::from);
    text.chars().map(advance).sum::<f64>() / em * size
}

/// `text`, cut with an ellipsis so that it is at most `room` pixels wide.
pub fn fit(text: &str, size: f64, weight: Weight, room: f64) -> String {
    if width(text, size, weight) <= room {
        return text.to_string();
    }
    let mut cut = text.to_string();
    while cut.pop().is_some() && width(&cut, size, weight) + width("…", size, weight) > room {}
    format!("{}…", cut.trim_end())
}

/// The embedded fonts alone, so that a PNG does not depend on the machine that draws it.
pub fn database() -> Arc<Database> {
    static FONTS: OnceLock<Arc<Database>> = OnceLock::new();
    FONTS
        .get_or_init(|| {
            let mut fonts = Database::new();
            for bytes in [REGULAR, SEMI_BOLD] {
                fonts.load_font_source(Source::Binary(Arc::new(bytes)));
            }
            Arc::new(fonts)
        })
        .clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_come_from_the_letters_and_a_long_text_is_cut_to_its_room() {
        assert!(width("iii", 13.0, Weight::Regular) < width("mmm", 13.0, Weight::Regular));
        assert_eq!(width("R", 26.0, Weight::SemiBold), 2.0 * width("R", 13.0, Weight::SemiBold));
        let cut = fit("a rather long name of an arm", 13.0, Weight::Regular, 80.0);
        assert!(cut.ends_with('…') && width(&cut, 13.0, Weight::Regular) <= 80.0);
        assert_eq!(fit("mlp", 13.0, Weight::Regular, 80.0), "mlp");
    }

    #[test]
    fn every_sign_that_reports_use_is_in_the_font() {
        for c in "“”…−×·→≥≤±¹²³⁰⁴⁵⁶⁷⁸⁹⁻–µαλ".chars() {
            assert!(Weight::Regular.face().glyph_index(c).is_some(), "{c}");
        }
    }
}
