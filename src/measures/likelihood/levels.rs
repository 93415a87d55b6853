//! What data are whose likelihood is asked for: integers, so many levels, or real numbers. In: what was said, the data. Out: the
//! levels, and how that is known.
use crate::data::{Images, Levels};
use crate::error::{Error, Result};
use crate::field::Field;

/// What the data are; `word` is 8-bit, 16-bit or continuous, where it is said.
pub(super) fn of(word: Option<&str>, field: &dyn Field, images: &Images) -> Result<(Levels, &'static str)> {
    let (eight, range) = (Levels::bits(8), field.data_range());
    let asked = match word {
        Some("8-bit") => eight,
        Some("16-bit") => Levels::bits(16),
        Some(_) => Levels::Real,
        None => {
            return match images.levels {
                Levels::Real if eight.hold(&images.values, range) => Ok((eight, "every value is one")),
                Levels::Mixed => {
                    let found =
                        "are pictures of several depths, expected one: sort them apart, or say --levels continuous";
                    Err(Error::invalid("--data", found))
                }
                levels => Ok((levels, "what the data hold")),
            };
        }
    };
    // Data of fewer bits are levels of more, if not evenly spread: black and white is 8-bit data too.
    if asked != Levels::Real && !asked.hold(&images.values, range) {
        let found = format!("the data are {}, some between the levels of {range:?}", images.levels);
        return Err(Error::invalid("--levels", format!("{found}, expected {asked}")));
    }
    Ok((asked, "--levels"))
}
