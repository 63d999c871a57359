//! What a Vulkan driver says of a device, asked beside Burn, which does not tell.

use std::ffi::CStr;

use ash::vk;

/// Whether shaders may lay out their shared memory themselves on the device of that name (the feature
/// `workgroupMemoryExplicitLayout`); `None` when Vulkan has no such device.
pub fn lays_out_shared_memory(name: &str) -> Option<bool> {
    // SAFETY: loading runs code of the loader and the drivers, as opening the device does; the instance outlives all
    // calls through it, and what is chained into a query lives as long as the query.
    unsafe {
        let entry = ash::Entry::load().ok()?;
        let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_1);
        let wanted = vk::InstanceCreateInfo::default().application_info(&application);
        let instance = entry.create_instance(&wanted, None).ok()?;
        let devices = instance.enumerate_physical_devices().unwrap_or_default();
        let found = devices.into_iter().find(|&device| {
            let properties = instance.get_physical_device_properties(device);
            properties.device_name_as_c_str().map(CStr::to_string_lossy).is_ok_and(|found| found == name)
        });
        let answer = found.map(|device| {
            let mut layout = vk::PhysicalDeviceWorkgroupMemoryExplicitLayoutFeaturesKHR::default();
            let mut features = vk::PhysicalDeviceFeatures2::default().push_next(&mut layout);
            instance.get_physical_device_features2(device, &mut features);
            layout.workgroup_memory_explicit_layout == vk::TRUE
        });
        instance.destroy_instance(None);
        answer
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_device_that_vulkan_does_not_have_says_nothing() {
        assert_eq!(super::lays_out_shared_memory("no such device"), None);
    }
}
