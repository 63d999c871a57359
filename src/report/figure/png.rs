//! PNG of an SVG, with the embedded font.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

use super::font;

/// Pixels of the PNG per pixel of the SVG.
pub const SCALE: f32 = 2.0;

/// Draws one of our own figures.
///
/// # Panics
/// If `svg` is not a drawing: it is never a file of a user.
pub fn draw(svg: &str) -> Vec<u8> {
    let options =
        Options { fontdb: font::database(), font_family: "Inter".to_string(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).expect("our own SVG is well formed");
    let size = tree.size().to_int_size().scale_by(SCALE).expect("a figure has a size");
    let mut pixels = Pixmap::new(size.width(), size.height()).expect("a figure fits in memory");
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().expect("pixels can always be encoded")
}

#[cfg(test)]
mod tests {
    use resvg::tiny_skia::Pixmap;

    use super::super::svg::{Anchor, Canvas, Ink, LABEL};

    #[test]
    fn text_and_colour_reach_the_pixels() {
        let ink_of = |text: &str| {
            let mut canvas = Canvas::new(40.0, 20.0);
            canvas.text(Ink::Series(0), LABEL, Anchor::Start, (2.0, 14.0), text);
            let pixels = Pixmap::decode_png(&super::draw(&canvas.finish("test"))).unwrap();
            assert_eq!((pixels.width(), pixels.height()), (80, 40));
            pixels.pixels().iter().filter(|p| (p.red(), p.green(), p.blue()) == (0, 0x72, 0xb2)).count()
        };
        assert_eq!(ink_of(""), 0);
        assert!(ink_of("mmm") > ink_of("i") && ink_of("i") > 5);
    }
}
