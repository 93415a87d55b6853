//! What a measure is asked, from keywords. In: a dictionary by the names of the parameters. Out: `Settings`; what does not fit is an
//! exception that names the parameter.
use crate::errors::{Told, raise};
use crate::process::spec;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use vorticity::run::{Kind, Measure, Parameter, Setting, Settings};

/// The defaults, with what was given; `None` is nothing given.
pub fn settings(py: Python, measure: &'static dyn Measure, given: &Bound<'_, PyDict>) -> PyResult<Settings> {
    let mut settings = Settings::of(measure).told(py)?;
    let names: Vec<String> =
        given.iter().filter(|(_, value)| !value.is_none()).map(|(name, _)| name.extract()).collect::<PyResult<_>>()?;
    for (name, value) in given.iter().filter(|(_, value)| !value.is_none()) {
        let name: String = name.extract()?;
        let Some(parameter) = measure.parameters().iter().find(|p| p.name == name) else {
            settings.set(&name, "").told(py)?; // says what there is
            continue;
        };
        if let Some(other) = parameter.excludes.iter().find(|other| names.iter().any(|name| name == *other)) {
            return Err(raise(py, "InvalidError", format!("{name}: given with {other}, expected one of them")));
        }
        let value = setting(parameter, &value).map_err(|_| wrong(py, parameter, &value))?;
        settings.set(&name, value).told(py)?;
    }
    Ok(settings)
}

fn wrong(py: Python, parameter: &Parameter, value: &Bound<'_, PyAny>) -> PyErr {
    let expected = match parameter.kind {
        Kind::Count => "a whole number from 0",
        Kind::Number => "a number",
        Kind::Flag => "True or False",
        Kind::Text => "text or a number",
        Kind::Choice(_) => "a word",
        Kind::List => "text, or a list of such",
        Kind::Timesteps => "whole numbers: one, several, a range, or text such as '1..1000:10'",
        Kind::File => "a path",
    };
    let found = value.repr().map_or_else(|_| "a value".into(), |text| text.to_string());
    raise(py, "InvalidError", format!("{}: {found} is given, expected {expected}", parameter.name))
}

/// A value as the parameter has it; text is read by the library.
fn setting(parameter: &Parameter, value: &Bound<'_, PyAny>) -> PyResult<Setting> {
    let text = value.is_instance_of::<PyString>();
    Ok(match parameter.kind {
        Kind::Count if !text => Setting::Count(value.extract()?),
        Kind::Number if !text => Setting::Number(value.extract()?),
        Kind::Flag => Setting::Flag(value.extract()?),
        Kind::Text if !text => Setting::Text(
            value.extract::<u64>().map(|n| n.to_string()).or_else(|_| value.extract::<f64>().map(|x| x.to_string()))?,
        ),
        Kind::List if !text => Setting::List(value.try_iter()?.map(|item| spec(&item?)).collect::<PyResult<_>>()?),
        Kind::Timesteps if !text => match value.extract::<usize>() {
            Ok(k) => Setting::Timesteps(vec![k]),
            Err(_) => Setting::Timesteps(value.try_iter()?.map(|k| k?.extract()).collect::<PyResult<_>>()?),
        },
        Kind::File => Setting::File(spec(value)?),
        _ => Setting::Text(value.extract()?),
    })
}

/// What was given as the call that gave it, for logs.
pub fn call(measure: &str, given: &Bound<'_, PyDict>) -> String {
    let said = |(name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>)| {
        let value = value.repr().map_or_else(|_| "..".into(), |text| text.to_string());
        format!("{}={value}", name.to_string().replace('-', "_"))
    };
    let all: Vec<String> = given.iter().filter(|(_, value)| !value.is_none()).map(said).collect();
    format!("vorticity.{measure}({})", all.join(", "))
}
