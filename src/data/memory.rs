//! Images that a program holds already, taken as those of a file are. In: numbers of `[N, C, H, W]`, real or 8-bit, and the range
//! of integer data. Out: `Images`, with the SHA-256 of the numbers as they were given.
use super::source::scaled;
use super::{Images, Levels, check_count, check_size, sha256_bytes};
use crate::error::{Error, Result};
use crate::shape::Shape;

impl Images {
    /// The first `limit` (`usize::MAX`: all) of real numbers `[N, C, H, W]`, which are taken as they are. The checksum is that of all
    /// of them, little-endian.
    ///
    /// # Errors
    /// Numbers that are no whole images, too many or not finite; fewer images than `limit`.
    pub fn of_reals(values: &[f32], shape: Shape, limit: usize) -> Result<Self> {
        let total = total(values.len(), shape, limit)?;
        let values_taken = values[..total].to_vec();
        if let Some(bad) = values_taken.iter().position(|v| !v.is_finite()) {
            let (image, value) = (bad / shape.len(), values_taken[bad]);
            return Err(invalid(format!("image {image} holds the value {value}, expected finite numbers")));
        }
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Ok(Self::made(values_taken, shape, Levels::Real, &bytes))
    }

    /// The first `limit` (`usize::MAX`: all) of 8-bit numbers `[N, C, H, W]`, of which 0 and 255 become the ends of `range`, exactly as
    /// those of files do. The checksum is that of all of them.
    ///
    /// # Errors
    /// Numbers that are no whole images or too many; fewer images than `limit`.
    pub fn of_bytes(values: &[u8], shape: Shape, limit: usize, range: [f64; 2]) -> Result<Self> {
        let total = total(values.len(), shape, limit)?;
        let reals = values[..total].iter().map(|&v| scaled(v.into(), u8::MAX.into(), range)).collect();
        Ok(Self::made(reals, shape, Levels::bits(8), values))
    }

    fn made(values: Vec<f32>, shape: Shape, levels: Levels, bytes: &[u8]) -> Self {
        Self { shape, count: values.len() / shape.len(), values, levels, sha256: sha256_bytes(bytes) }
    }
}

fn invalid(message: String) -> Error {
    Error::invalid("data", message)
}

/// How many of these numbers are those of the images that are asked for.
fn total(numbers: usize, shape: Shape, limit: usize) -> Result<usize> {
    if shape.is_empty() || numbers == 0 || !numbers.is_multiple_of(shape.len()) {
        return Err(invalid(format!("{numbers} numbers, expected whole images of {shape}, at least one")));
    }
    if limit == 0 {
        return Err(invalid("0 images asked for, at least 1 expected".into()));
    }
    let count = check_count(numbers / shape.len(), limit).map_err(invalid)?;
    check_size(count, shape).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{load, sha256_file};

    fn npy(descr: &str, shape: &str, bytes: &[u8]) -> tempfile::NamedTempFile {
        let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend(118u16.to_le_bytes());
        file.extend(format!("{text:<117}\n").bytes());
        file.extend(bytes);
        let place = tempfile::NamedTempFile::with_suffix(".npy").unwrap();
        std::fs::write(place.path(), file).unwrap();
        place
    }

    #[test]
    fn images_in_memory_are_those_of_a_file() {
        let (shape, range) = (Shape::new(2, 8, 8), [-1.0, 1.0]);
        let bytes: Vec<u8> = (0..=255).collect();
        let file = npy("|u1", "(2, 2, 8, 8)", &bytes);
        for limit in [1, 2, usize::MAX] {
            let (own, read) =
                (Images::of_bytes(&bytes, shape, limit, range).unwrap(), load(file.path(), limit, range).unwrap());
            assert_eq!((own.shape, own.count, own.levels), (read.shape, read.count, read.levels));
            assert_eq!(own.values, read.values, "to the bit");
            assert_ne!(own.sha256, read.sha256, "that of a file is of its header too");
        }
        let reals: Vec<f32> = (0..256).map(|i| (i as f32).sin()).collect();
        let raw: Vec<u8> = reals.iter().flat_map(|v| v.to_le_bytes()).collect();
        let (own, read) = (
            Images::of_reals(&reals, shape, usize::MAX).unwrap(),
            load(npy("<f4", "(2, 2, 8, 8)", &raw).path(), usize::MAX, range).unwrap(),
        );
        assert_eq!((own.values, own.levels), (read.values, read.levels));
        let place = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(place.path(), &raw).unwrap();
        assert_eq!(own.sha256, sha256_file(place.path()).unwrap());
    }

    #[test]
    fn what_is_no_data_is_refused() {
        let shape = Shape::new(1, 2, 2);
        let said = |found: Result<Images>| found.unwrap_err().to_string();
        let nan = [0.0, 1.0, f32::NAN, 0.0];
        assert!(said(Images::of_reals(&nan, shape, 1)).contains("image 0 holds the value NaN, expected finite"));
        assert!(said(Images::of_reals(&[0.0; 5], shape, 1)).contains("5 numbers, expected whole images of 1x2x2"));
        assert!(said(Images::of_bytes(&[], shape, 1, [0.0, 1.0])).contains("0 numbers"));
        assert!(said(Images::of_bytes(&[0; 4], shape, 0, [0.0, 1.0])).contains("0 images asked for"));
        assert!(said(Images::of_bytes(&[0; 4], shape, 2, [0.0, 1.0])).contains("holds 1 images, 2 were asked for"));
    }
}
