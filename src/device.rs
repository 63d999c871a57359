//! Devices by name. The only file that names backends.
//!
//! `cpu` is Burn's Flex backend. The other names, `wgpu:0`, `vulkan:0`, `cuda:1` and so on, are the devices that a
//! backend finds on this machine, counted from zero; each backend is a feature of this crate, and one binary may hold
//! several. `wgpu` takes the graphics API that the machine has and WGSL shaders; `vulkan`, `metal` and `webgpu` insist
//! on theirs.

#[cfg(feature = "vulkan")]
mod vulkan;

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::{Device, Tensor};

use crate::error::{Error, Problem, Result};

/// Kinds of device that plans and stores know, whether or not this build has them.
pub const KINDS: [&str; 7] = ["cpu", "wgpu", "vulkan", "metal", "webgpu", "cuda", "rocm"];

/// A device that this build can open.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Available {
    /// The name that `--device` takes.
    pub name: String,
    /// The description of the device, by its driver.
    pub description: String,
}

/// The kind of a device: `cuda` of `cuda:1`.
pub fn kind(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

/// Opens a device by name, without autodiff; training asks for `.autodiff()` itself. A number left out is 0.
///
/// # Errors
/// As [`find`], or the device does not compute.
pub fn open(name: &str) -> Result<Device> {
    let device = look_up(name)?;
    if kind(name) == "cpu" { Ok(device) } else { check(name, device) }
}

/// Whether there is a device of that name that kernels can be made for. It is not opened: who only starts others takes none
/// of its memory.
///
/// # Errors
/// [`Kind::Device`](crate::error::Kind::Device) when the name is unknown, the backend is not compiled in, the device is
/// not there, or its driver would die of the kernels.
pub fn find(name: &str) -> Result<()> {
    look_up(name).map(drop)
}

fn look_up(name: &str) -> Result<Device> {
    let found = found(kind(name)).ok_or_else(|| Error::device(absent(name)))?;
    let index = match (kind(name), name.split_once(':')) {
        (_, None) => Some(0),
        ("cpu", Some(_)) => None,
        (_, Some((_, index))) => index.parse().ok(),
    };
    let device = index.and_then(|index: usize| found.into_iter().nth(index));
    let device = device.ok_or_else(|| Error::device(absent(name)))?;
    #[cfg(feature = "vulkan")]
    if matches!(kind(name), "wgpu" | "vulkan") && !takes_spirv(&device) {
        let problem = Problem::new(format!(
            "{name} does not let shaders lay out their shared memory (workgroupMemoryExplicitLayout), and for such \
             devices CubeCL 0.11.3 makes SPIR-V that is not valid"
        ));
        let help = "use cpu, a newer driver, a build with --features wgpu and without vulkan, or a patched CubeCL \
             (docs/gpu.md)";
        return Err(Error::device(problem.key("--device").help(help)));
    }
    Ok(device)
}

/// Whether a device goes on computing after an operation has returned, so that reading what it found makes it wait:
/// all but the CPU.
pub fn computes_later(device: &Device) -> bool {
    #[cfg(feature = "flex")]
    return *device != Device::flex();
    #[cfg(not(feature = "flex"))]
    return {
        let _ = device;
        true
    };
}

/// The devices that this build can open on this machine.
pub fn available() -> Vec<Available> {
    let describe = |(name, device): (String, Device)| {
        let description = match name.as_str() {
            "cpu" => "all cores, Burn's Flex backend, f32".to_string(),
            _ => title_of(&device).unwrap_or_else(|| "does not open".to_string()),
        };
        Available { name, description }
    };
    all().map(describe).collect()
}

/// All devices of this build on this machine, unopened, with their names.
fn all() -> impl Iterator<Item = (String, Device)> {
    KINDS.into_iter().flat_map(|kind| {
        let found = found(kind).unwrap_or_default().into_iter().enumerate();
        found.map(move |(index, device)| match kind {
            "cpu" => (kind.to_string(), device),
            _ => (format!("{kind}:{index}"), device),
        })
    })
}

/// What the maker of a device calls it, and what its kernels are compiled for; `None` for the CPU and for what does not
/// open.
pub fn title(name: &str) -> Option<String> {
    open(name).ok().and_then(|device| title_of(&device))
}

/// The devices of a kind on this machine; `None` when this build lacks its backend.
fn found(kind: &str) -> Option<Vec<Device>> {
    #[cfg(any(feature = "wgpu", feature = "cuda", feature = "rocm"))]
    use burn::tensor::DeviceType;
    match kind {
        #[cfg(feature = "flex")]
        "cpu" => Some(vec![Device::flex()]),
        #[cfg(feature = "wgpu")]
        "wgpu" => Some(list(DeviceType::Wgpu)),
        #[cfg(feature = "vulkan")]
        "vulkan" => Some(list(DeviceType::Vulkan)),
        #[cfg(feature = "metal")]
        "metal" => Some(list(DeviceType::Metal)),
        #[cfg(feature = "webgpu")]
        "webgpu" => Some(list(DeviceType::WebGpu)),
        #[cfg(feature = "cuda")]
        "cuda" => Some(list(DeviceType::Cuda)),
        #[cfg(feature = "rocm")]
        "rocm" => Some(list(DeviceType::Rocm)),
        _ => None,
    }
}

/// A backend whose driver is not installed has no devices, whichever way it says so.
#[cfg(any(feature = "wgpu", feature = "cuda", feature = "rocm"))]
fn list(kind: burn::tensor::DeviceType) -> Vec<Device> {
    quietly(|| Device::enumerate(kind).into_vec()).unwrap_or_default()
}

#[cfg(any(feature = "wgpu", feature = "cuda", feature = "rocm"))]
fn title_of(device: &Device) -> Option<String> {
    let identity = quietly(|| device.identity()).ok().flatten()?;
    Some(format!("{} ({})", identity.name, identity.fingerprint))
}

#[cfg(not(any(feature = "wgpu", feature = "cuda", feature = "rocm")))]
fn title_of(_device: &Device) -> Option<String> {
    None
}

/// Whether SPIR-V is right on a device. Where a driver lacks a feature, CubeCL 0.11.3 gives variables in shared memory a
/// wrong type, and the driver dies of it; a build with vendor/mended-spirv.toml has that mended.
#[cfg(feature = "vulkan")]
fn takes_spirv(device: &Device) -> bool {
    let is_mended = option_env!("ABLATION_ZOO_MENDED_SPIRV").is_some();
    let lays_out = || {
        let identity = quietly(|| device.identity()).ok().flatten()?;
        vulkan::lays_out_shared_memory(&identity.name)
    };
    is_mended || lays_out() != Some(false)
}

/// The device, if it adds up.
fn check(name: &str, device: Device) -> Result<Device> {
    let adds = quietly(|| Tensor::<1>::ones([64], &device).sum().into_scalar::<f32>());
    let cause = match adds {
        Ok(64.0) => return Ok(device),
        Ok(sum) => format!("a sum of 64 ones is {sum}"),
        Err(panic) => panic,
    };
    let problem = Problem::new(format!("the device {name} does not compute: {cause}"));
    Err(Error::device(problem.key("--device").help("zoo doctor says what the machine has; check its driver")))
}

/// What `f` gives, or the words with which it panicked: drivers that are missing or broken are met as panics.
fn quietly<T>(f: impl FnOnce() -> T) -> std::result::Result<T, String> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(f));
    std::panic::set_hook(hook);
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words").to_string()
    })
}

fn absent(name: &str) -> Problem {
    let names: Vec<String> = all().map(|(name, _)| name).collect();
    let kind = kind(name);
    let problem = Problem::new(format!("no device \"{name}\""))
        .key("--device")
        .expected(format!("one of {}", names.join(", ")));
    match found(kind) {
        None if KINDS.contains(&kind) => problem
            .help(format!("this build lacks that backend: build with --features {kind} (README, Backends)")),
        Some(found) if found.is_empty() => {
            problem.help(format!("this build has the backend, and found no {kind} device and driver here"))
        }
        _ => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_not_there_is_named_with_those_that_are() {
        for name in ["gpu9", "cpu:1", "wgpu:99", "wgpu:-1", ":", ""] {
            let error = open(name).unwrap_err();
            assert_eq!(error.exit_code(), 69);
            assert!(error.to_string().contains("one of cpu"), "{error}");
        }
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_backend_that_is_not_compiled_in_is_named_by_its_feature() {
        let error = open("cuda:1").unwrap_err();
        assert_eq!(error.exit_code(), 69);
        assert!(error.to_string().contains("--features cuda"), "{error}");
    }

    #[test]
    fn the_kind_of_a_device_is_its_name_without_the_number() {
        assert_eq!((kind("cuda:1"), kind("cpu")), ("cuda", "cpu"));
    }

    #[test]
    fn a_panic_becomes_its_words() {
        assert_eq!(quietly(|| -> u8 { panic!("no {}", "driver") }), Err("no driver".to_string()));
        assert_eq!(quietly(|| 3), Ok(3));
    }
}
