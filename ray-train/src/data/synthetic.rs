//! Generated images that a network can learn to classify. A seed determines them.

use super::images::Images;
use super::random::SplitMix64;

const SIDE: usize = 28;
const SIZE: usize = SIDE * SIDE;

/// The number of soft spots in a pattern.
const SPOTS: usize = 5;

/// Images for training and for testing, of the same ten patterns.
pub(super) fn images(train: usize, test: usize, seed: u64) -> (Images, Images) {
    let mut random = SplitMix64::new(seed);
    let patterns: Vec<Vec<f32>> = (0..10).map(|_| pattern(&mut random)).collect();
    (make(&patterns, train, &mut random), make(&patterns, test, &mut random))
}

/// A dark image with a few soft spots.
fn pattern(random: &mut SplitMix64) -> Vec<f32> {
    let mut pixels = vec![0.0f32; SIZE];
    for _ in 0..SPOTS {
        let (x, y) = (random.uniform(5.0, 23.0), random.uniform(5.0, 23.0));
        let (width, height) = (random.uniform(2.0, 5.0), random.uniform(2.0, 5.0));
        let light = random.uniform(120.0, 220.0);
        for (at, pixel) in pixels.iter_mut().enumerate() {
            let across = ((at % SIDE) as f32 - x) / width;
            let down = ((at / SIDE) as f32 - y) / height;
            // Not an exponential: its last bits differ between platforms.
            *pixel += light * (1.0 - 0.5 * (across * across + down * down)).max(0.0);
        }
    }
    pixels.iter_mut().for_each(|pixel| *pixel = pixel.min(255.0));
    pixels
}

/// Images of the patterns in turn, in shuffled order: each shifted by up to two pixels, dimmed, and covered with noise.
fn make(patterns: &[Vec<f32>], count: usize, random: &mut SplitMix64) -> Images {
    let mut labels: Vec<u8> = (0..count).map(|nth| (nth % patterns.len()) as u8).collect();
    random.shuffle(&mut labels);
    let mut pixels = Vec::with_capacity(count * SIZE);
    for label in &labels {
        let pattern = &patterns[usize::from(*label)];
        // A shift of -2 to 2 pixels, written as 26 to 30 modulo 28.
        let (right, down) = (26 + random.below(5) as usize, 26 + random.below(5) as usize);
        let light = random.uniform(0.6, 1.1);
        pixels.extend((0..SIZE).map(|at| {
            let (x, y) = ((at % SIDE + right) % SIDE, (at / SIDE + down) % SIDE);
            (pattern[y * SIDE + x] * light + random.uniform(-30.0, 30.0)).clamp(0.0, 255.0) as u8
        }));
    }
    Images::new(SIDE, SIDE, pixels, labels).expect("there is one label for each image")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_determines_the_images() {
        let (train, test) = images(30, 10, 5);
        assert_eq!(train.pixels(), images(30, 10, 5).0.pixels());
        assert_ne!(train.pixels(), images(30, 10, 6).0.pixels());
        assert_ne!(&train.pixels()[..SIZE * 10], test.pixels());
        let mut kinds = train.labels().to_vec();
        kinds.sort();
        assert!(kinds.chunks(3).enumerate().all(|(kind, three)| three == [kind as u8; 3]));
    }

    /// The nearest training image has the right label for most test images, so a network can learn them.
    #[test]
    fn the_nearest_image_has_the_right_label() {
        let (train, test) = images(500, 200, 1);
        let distance = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| (i64::from(*a) - i64::from(*b)).pow(2)).sum::<i64>();
        let right = test.pixels().chunks(SIZE).zip(test.labels()).filter(|(image, label)| {
            let nearest = train.pixels().chunks(SIZE).zip(train.labels()).min_by_key(|(other, _)| distance(image, other));
            nearest.unwrap().1 == *label
        });
        assert!(right.count() > 180);
    }
}
