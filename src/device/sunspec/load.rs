//! From the file's list of models to the checked one.

use super::Chain;
use crate::device::error::Path;
use crate::device::file::ModelTable;
use crate::device::load::Loader;
use crate::device::pdu::ReadFc;
use crate::device::profile::LinkDefaults;

impl Loader<'_> {
    /// The list of models, with every point checked to belong to it.
    pub fn sunspec(&mut self, link: &LinkDefaults) -> Option<Chain> {
        let path = Path::default().key("sunspec");
        let list: Vec<Vec<u16>> = self.raw.sunspec.iter().map(models).collect();
        if list.is_empty() {
            return None;
        }
        if !(link.no_read.is_empty() && link.read_whole.is_empty()) {
            self.wrong(&path, "`no_read` and `read_whole` would not move with the models");
        }
        let chain = match Chain::new(&list) {
            Ok(chain) => chain,
            Err(mistake) => {
                self.wrong(&path, mistake);
                return None;
            }
        };
        for index in 0..self.points.len() {
            let point = &self.points[index];
            let readable = matches!(point.fc, None | Some(ReadFc::HoldingRegisters));
            if !readable || point.connector_offset != 0 || !chain.holds(point.addr, point.layout.width) {
                let name = point.name.clone();
                self.wrong(&path, format!("`{name}` is no holding register of these models"));
            }
        }
        Some(chain)
    }
}

fn models(table: &ModelTable) -> Vec<u16> {
    match table {
        ModelTable::One(model) => vec![*model],
        ModelTable::AnyOf(models) => models.clone(),
    }
}
