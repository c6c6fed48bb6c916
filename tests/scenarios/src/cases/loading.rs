//! Images that can't be loaded.

use anyhow::{Context, Result, ensure};
use ndis_host::image::LoadError;
use ndis_host::pnp;
use ndis_host::sched;

use crate::world::{Ending, WorldOptions, start_machine};

/// An image that was cut off, wherever: an error that says so, and nothing is left behind.
pub(super) fn truncated_image(options: &WorldOptions) -> Result<()> {
    const CUTS: u64 = 200;
    /// The last section is padded to a multiple of this; nobody misses the padding.
    const FILE_ALIGNMENT: usize = 512;
    let image = options.image.bytes();
    start_machine(options)?;
    for _ in 0..CUTS {
        let len = sched::random_below((image.len() - FILE_ALIGNMENT) as u64) as usize;
        refused(&image[..len]).with_context(|| format!("cut to {len} bytes"))?;
    }
    // The whole image loads after all that.
    let driver = pnp::load_driver(image, "netkvm")?;
    pnp::unload_driver(driver);
    let ending = Ending::so_far();
    ensure!(ending.is_clean(), "{ending}");
    Ok(())
}

fn refused(image: &[u8]) -> Result<()> {
    let Err(error) = pnp::load_driver(image, "netkvm") else {
        anyhow::bail!("it loads");
    };
    ensure!(
        error.downcast_ref::<LoadError>().is_some(),
        "refused for another reason: {error:#}"
    );
    Ok(())
}
