use clap::Args;

use crate::{
    cli::Common,
    commands::print,
    drivers::DRIVERS,
    failure::Result,
    place::Place,
    scratch::{Purpose, Scratch},
    table,
};

/// List drivers and workloads
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub common: Common,
}

pub fn run(args: &ListArgs) -> Result {
    let place = Place::choose(args.common.root.as_deref());
    let scratch = Scratch::make(&place, Purpose::Trial)?;
    let mut rows = Vec::new();
    for entry in DRIVERS {
        let here = match entry.try_out(scratch.path()) {
            Ok(_) => "yes".to_owned(),
            Err(error) => format!("no: {error}"),
        };
        rows.push(vec![entry.name.to_owned(), entry.about.to_owned(), here]);
    }
    let mut text = table::columns(&["DRIVER", "WHAT IT DOES", "USABLE HERE"], &rows);
    let rows = workloads::all().into_iter().flat_map(|workload| {
        let name = workload.name().to_owned();
        let first = vec![name, String::new(), String::new(), workload.about().to_owned()];
        let parameters = workload.params().into_iter();
        let parameters =
            parameters.map(|p| vec![String::new(), p.name.to_owned(), p.default.to_owned(), p.about.to_owned()]);
        std::iter::once(first).chain(parameters.collect::<Vec<_>>()).collect::<Vec<_>>()
    });
    text.push('\n');
    text.push_str(&table::columns(
        &["WORKLOAD", "PARAMETER", "DEFAULT", "WHAT IT MEASURES"],
        &rows.collect::<Vec<_>>(),
    ));
    print(&text)
}
