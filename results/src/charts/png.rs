//! From SVG to PNG, with the embedded fonts alone.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    iter::repeat_n,
    sync::{Arc, OnceLock},
};

use resvg::{
    tiny_skia::{Color, Pixmap, Transform},
    usvg::{self, fontdb},
};

use super::{BOLD, FONT, REGULAR};

/// Pixels for a unit of the SVG: sharp on today's screens.
const SCALE: f32 = 1.5;

/// The picture as PNG; the same on every machine.
pub fn from_svg(svg: &str) -> Result<Vec<u8>, String> {
    let options = usvg::Options { fontdb: fonts(), font_family: FONT.to_owned(), ..usvg::Options::default() };
    let tree = usvg::Tree::from_str(svg, &options).map_err(|error| error.to_string())?;
    let size = tree.size();
    let (width, height) = ((size.width() * SCALE).ceil() as u32, (size.height() * SCALE).ceil() as u32);
    let mut pixels = Pixmap::new(width, height).ok_or_else(|| format!("{width} x {height} pixels are too many"))?;
    // A chart has its own paper; its last row may be half a pixel.
    pixels.fill(Color::WHITE);
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    encode(&pixels).map_err(|error| error.to_string())
}

/// Of a palette, a fourth of the size: charts have few colours, and shades of them where edges are smoothed.
fn encode(pixels: &Pixmap) -> Result<Vec<u8>, ::png::EncodingError> {
    let (colours, _) = pixels.data().as_chunks::<4>();
    let (palette, places) = palette(colours);
    let mut bytes = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut bytes, pixels.width(), pixels.height());
    encoder.set_color(::png::ColorType::Indexed);
    encoder.set_depth(::png::BitDepth::Eight);
    encoder.set_compression(::png::Compression::Default);
    encoder.set_filter(::png::FilterType::NoFilter);
    // Nothing is transparent, with the paper behind it.
    encoder.set_palette(palette.iter().flat_map(|[red, green, blue, _]| [*red, *green, *blue]).collect::<Vec<_>>());
    let mut writer = encoder.write_header()?;
    let runs = colours.chunk_by(|one, other| one == other);
    writer.write_image_data(&runs.flat_map(|run| repeat_n(places[&run[0]], run.len())).collect::<Vec<_>>())?;
    writer.finish()?;
    Ok(bytes)
}

/// Red, green, blue, and how little of what is behind it shows.
type Colour = [u8; 4];

/// The 256 colours that most pixels have, and for every colour the place of the one that is nearest to it.
fn palette(colours: &[Colour]) -> (Vec<Colour>, BTreeMap<Colour, u8>) {
    let mut counted: BTreeMap<Colour, usize> = BTreeMap::new();
    // Most pixels are as the one before.
    for run in colours.chunk_by(|one, other| one == other) {
        *counted.entry(run[0]).or_default() += run.len();
    }
    let mut palette: Vec<Colour> = counted.keys().copied().collect();
    palette.sort_by_key(|colour| (Reverse(counted[colour]), *colour));
    palette.truncate(256);
    let distance = |one: &Colour, other: &Colour| -> u32 {
        one.iter().zip(other).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum()
    };
    let nearest = |colour: &Colour| {
        let place = (0..=u8::MAX).zip(&palette).min_by_key(|(_, known)| distance(colour, known));
        (*colour, place.map_or(0, |(place, _)| place))
    };
    let places = counted.keys().map(nearest).collect();
    (palette, places)
}

fn fonts() -> Arc<fontdb::Database> {
    static FONTS: OnceLock<Arc<fontdb::Database>> = OnceLock::new();
    let load = || {
        let mut fonts = fontdb::Database::new();
        fonts.load_font_data(REGULAR.to_vec());
        fonts.load_font_data(BOLD.to_vec());
        fonts.set_sans_serif_family(FONT);
        Arc::new(fonts)
    };
    FONTS.get_or_init(load).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_of_many_pixels_stay_and_others_become_the_nearest() {
        let mut colours: Vec<Colour> = (0..=255).map(|shade| [shade, shade, 0, 255]).collect();
        colours.extend([[9, 9, 9, 255]; 5]);
        let (palette, places) = palette(&colours);
        assert_eq!((palette.len(), palette[0]), (256, [9, 9, 9, 255]));
        assert_eq!(palette[usize::from(places[&[9, 9, 9, 255]])], [9, 9, 9, 255]);
        // The last of those that one pixel has.
        assert_eq!(palette[usize::from(places[&[255, 255, 0, 255]])], [254, 254, 0, 255]);
    }

    #[test]
    fn a_picture_has_its_size_and_colours() {
        let svg = "<svg xmlns='http://www.w3.org/2000/svg' width='8' height='4'><rect width='8' height='4' fill='#0072b2'/></svg>";
        let bytes = from_svg(svg).unwrap();
        let mut reader = ::png::Decoder::new(&bytes[..]).read_info().unwrap();
        assert_eq!((reader.info().width, reader.info().height), (12, 6));
        assert_eq!(reader.info().palette.as_deref(), Some(&[0x00, 0x72, 0xb2][..]));
        let mut pixels = vec![1; reader.output_buffer_size()];
        reader.next_frame(&mut pixels).unwrap();
        assert!(pixels.iter().all(|place| *place == 0));
    }
}
