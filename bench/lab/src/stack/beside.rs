//! Simulated clouds beside that of CCI: each runs as long as the stack has virtual nodes of it.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{StackOptions, cci2, cube, eci};
use crate::{AnotherCloud, CloudApi, Lab};

/// Those that run.
#[derive(Debug, Default)]
pub(super) struct Clouds {
    eci: Option<AnotherCloud>,
    cube: Option<AnotherCloud>,
    cci2: Option<AnotherCloud>,
}

impl Clouds {
    /// Starts what is missing and stops what nobody needs.
    pub(super) async fn fit(&mut self, lab: &Lab, options: &StackOptions) -> Result<()> {
        let wanted = [
            (CloudApi::Eci, options.eci_nodes, &mut self.eci, eci::places()),
            (CloudApi::Cube, options.cube_nodes.count, &mut self.cube, cube::places()),
            (CloudApi::Cci2, options.cci2_nodes, &mut self.cci2, cci2::places()),
        ];
        for (api, nodes, cloud, places) in wanted {
            if nodes == 0 {
                if let Some(mut cloud) = cloud.take() {
                    cloud.process.stop(Duration::from_secs(20)).await?;
                }
            } else if cloud.is_none() {
                let images = super::images(options.runtime);
                let places: Vec<&str> = places.iter().chain(&images).map(String::as_str).collect();
                *cloud = Some(AnotherCloud::start(lab, api, options.runtime, &places).await?);
            }
        }
        Ok(())
    }

    pub(super) fn get(&self, api: CloudApi) -> Result<&AnotherCloud> {
        let cloud = match api {
            CloudApi::Eci => &self.eci,
            CloudApi::Cube => &self.cube,
            CloudApi::Cci2 => &self.cci2,
        };
        cloud.as_ref().with_context(|| format!("the stack has no virtual node of {}", api.word()))
    }
}
