//! `zoo devices`: what `--device` can name on this machine.

use ablation_zoo::{Result, device, kernels};
use clap::Args;
use serde_json::json;

use super::{Format, output};

/// Arguments of `zoo devices`.
#[derive(Debug, Args)]
pub struct Devices {
    #[command(flatten)]
    format: Format,
}

impl Devices {
    /// Prints the devices.
    pub fn run(&self) -> Result<()> {
        let devices = device::available();
        let level = kernels::level().name();
        if self.format.json {
            return output::print_json(&json!({"devices": devices, "kernels": level}));
        }
        let mut text: String =
            devices.iter().map(|device| format!("{:<8}{}\n", device.name, device.description)).collect();
        text.push_str(&format!("\nkernels on the CPU: {level}\n"));
        output::print(&text)
    }
}
