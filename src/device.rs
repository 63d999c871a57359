//! Devices by name. The only file that names backends.
//!
//! `cpu` is Burn's Flex backend; the other names exist in builds with the feature of that backend.

use burn::tensor::Device;

use crate::error::{Error, Problem, Result};

/// Kinds of device that plans and stores know, whether or not this build has them.
pub const KINDS: [&str; 6] = ["cpu", "wgpu", "vulkan", "metal", "cuda", "rocm"];

/// A device that this build can open.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Available {
    /// What `--device` takes.
    pub name: String,
    /// What it is.
    pub description: String,
}

/// The kind of a device: `cuda` of `cuda:1`.
pub fn kind(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

/// Opens a device by name, without autodiff; training asks for `.autodiff()` itself.
///
/// # Errors
/// [`Kind::Device`](crate::error::Kind::Device) when the name is unknown, the backend is not compiled in, or the
/// device is not there.
pub fn open(name: &str) -> Result<Device> {
    match name {
        #[cfg(feature = "flex")]
        "cpu" => Ok(Device::flex()),
        _ => Err(Error::device(refusal(name))),
    }
}

/// The devices that this build can open on this machine.
pub fn available() -> Vec<Available> {
    let cpu = Available { name: "cpu".into(), description: "all cores, Burn's Flex backend, f32".into() };
    match cfg!(feature = "flex") {
        true => vec![cpu],
        false => Vec::new(),
    }
}

fn refusal(name: &str) -> Problem {
    let names: Vec<String> = available().into_iter().map(|device| device.name).collect();
    let problem = Problem::new(format!("no device \"{name}\"")).key("--device");
    match KINDS.contains(&kind(name)) {
        true => problem.expected(format!("one of {}", names.join(", "))).remedy(format!(
            "this build has no backend for {}; see the README's table of backends",
            kind(name)
        )),
        false => problem.expected(format!("one of {}", names.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_not_there_is_named_with_those_that_are() {
        let error = open("gpu9").unwrap_err();
        assert_eq!(error.exit_code(), 69);
        assert!(error.to_string().contains("one of cpu"), "{error}");
    }

    #[test]
    fn the_kind_of_a_device_is_its_name_without_the_number() {
        assert_eq!((kind("cuda:1"), kind("cpu")), ("cuda", "cpu"));
    }
}
