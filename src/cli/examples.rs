//! Examples of every verb: what its help and its manual page end with. They run as written in a clone, in this order.
//! In: a verb. Out: its examples as text, in lines that no terminal breaks.
use clap::Command;

/// A verb, and one to three examples: what one does, and its command line without the program's name.
type Row = (&'static str, &'static [(&'static str, &'static str)]);

/// Columns of a line, which a narrow terminal has too: help that is broken elsewhere does not run.
const WIDTH: usize = 78;

/// What the program's own help ends with.
const MAIN: &str = "check";

/// `MODEL --data IMAGES` of the network that comes with the program.
macro_rules! on_mnist {
    ($verb:literal, $more:literal) => {
        concat!($verb, " assets/models/mnist --data assets/data/mnist-test-256-idx3-ubyte.gz ", $more)
    };
}

/// The same of a field without a file.
macro_rules! on_rotor {
    ($verb:literal, $more:literal) => {
        concat!($verb, " field:rotor --shape 1x4x4 --data data:gaussian ", $more)
    };
}

/// Every verb.
pub const EXAMPLES: &[Row] = &[
    (
        "check",
        &[
            (
                "Is the network that comes with the program a gradient? In two minutes",
                on_mnist!("check", "--out run-check"),
            ),
            (
                "An ONNX file; what it leaves open is in model.toml beside it",
                "check assets/models/toy/model.onnx --data assets/data/ring-256.npy --out run-toy",
            ),
            ("What would be measured in ten, without measuring it", on_mnist!("check", "--minutes 10 --dry-run")),
        ],
    ),
    (
        "circulation",
        &[
            (
                "Short loops about two images, at three noise levels",
                on_mnist!("circulation", "--timesteps 100,500,900 --samples 2 --points 20 --out run-circulation"),
            ),
            ("How long the paper's protocol takes here", on_mnist!("circulation", "--dry-run")),
            (
                "Loops of two kinds to an accuracy, in a field that turns",
                on_rotor!(
                    "circulation",
                    "--samples 4 --paths 'rotation,projection?arcs=4' --quadrature adaptive --out run-rotor"
                ),
            ),
        ],
    ),
    (
        "curl",
        &[
            (
                "Exact entries of the Jacobian at 16 components",
                on_mnist!("curl", "--timesteps 100,500,900 --samples 2 --components 16 --out run-curl"),
            ),
            (
                "Differences beside them, as fields have them that are only evaluated",
                on_rotor!("curl", "--samples 2 --timesteps 500 --method both --out run-both"),
            ),
        ],
    ),
    (
        "asymmetry",
        &[
            (
                "The whole Jacobian by eight random vectors",
                on_mnist!("asymmetry", "--timesteps 100,500,900 --samples 2 --probes 8 --out run-asymmetry"),
            ),
            (
                "By every unit vector, which is exact",
                on_rotor!("asymmetry", "--timesteps 500 --samples 2 --probes all --out run-exact"),
            ),
        ],
    ),
    (
        "map",
        &[(
            "In which pixels the field turns",
            on_mnist!("map", "--timesteps 500 --samples 2 --probes 8 --out run-map"),
        )],
    ),
    (
        "planes",
        &[(
            "The two planes in which it turns fastest",
            on_mnist!("planes", "--timesteps 500 --samples 1 --planes 2 --steps 12 --out run-planes"),
        )],
    ),
    (
        "spectrum",
        &[(
            "The lowest and the highest eigenvalue",
            on_mnist!("spectrum", "--timesteps 500 --samples 1 --ends 1 --steps 12 --out run-spectrum"),
        )],
    ),
    (
        "stein",
        &[(
            "A learned score of Neal's funnel against the exact one",
            "stein assets/models/funnel --data data:funnel --reference field:funnel --samples 8 --timesteps 100,500 --out run-stein",
        )],
    ),
    (
        "lid",
        &[(
            "The dimension of the data about four images",
            on_mnist!("lid", "--timesteps 50,100 --samples 4 --probes 4 --out run-lid"),
        )],
    ),
    (
        "jacobian",
        &[("All 16 x 16 entries", on_rotor!("jacobian", "--timesteps 100,500 --samples 2 --out run-jacobian"))],
    ),
    (
        "likelihood",
        &[(
            "Bits per dimension of an image",
            on_mnist!("likelihood", "--timesteps 0..1000:40 --samples 1 --probes 2 --out run-likelihood"),
        )],
    ),
    (
        "paths",
        &[(
            "Loops for scores from another program",
            on_rotor!("paths export", "--timesteps 500 --samples 4 --points 20 --out loops.npz"),
        )],
    ),
    (
        "paths export",
        &[
            (
                "How large a file will be",
                on_mnist!("paths export", "--samples 16 --points 100 --out large.npz --dry-run"),
            ),
            (
                "A part of the loops, for one machine of four",
                on_rotor!("paths export", "--timesteps 500 --samples 4 --points 20 --shard 1/4 --out part1.npz"),
            ),
        ],
    ),
    (
        "integrate",
        &[(
            "Scores at the midpoints of loops.npz, which another program wrote",
            "integrate scores.npy --exported loops.npz --out run-elsewhere",
        )],
    ),
    (
        "sample",
        &[
            ("A picture of nine digits", "sample assets/models/mnist --samples 9 --steps 20 --out samples.png"),
            (
                "Numbers, which other verbs read as --data",
                "sample assets/models/mnist --samples 4 --steps 20 --values samples.npz",
            ),
        ],
    ),
    (
        "evaluate",
        &[
            (
                "The score at points of your own",
                "evaluate assets/models/mnist --points samples.npz --timestep 500 --out scores.npz",
            ),
            (
                "And its derivatives along them, with differences beside them",
                "evaluate assets/models/mnist --points samples.npz --directions samples.npz --differences --timestep 500 --out \
                 derivatives.npz",
            ),
        ],
    ),
    (
        "merge",
        &[
            ("The first half of a run", on_rotor!("curl", "--timesteps 500 --samples 4 --shard 1/2 --out part-1")),
            (
                "The second, on the same machine or on another one",
                on_rotor!("curl", "--timesteps 500 --samples 4 --shard 2/2 --out part-2"),
            ),
            ("Both of them, the bytes of one run", "merge part-1 part-2 --out run-merged"),
        ],
    ),
    (
        "report",
        &[(
            "Two runs on one page, with a picture of samples",
            "report run-circulation run-curl --samples samples.png --out page.html",
        )],
    ),
    (
        "plot",
        &[
            ("What the run is about, a column wide, a panel per path", "plot run-circulation --out circulation.pdf"),
            (
                "One column on one path, without a title",
                "plot run-circulation --column integral_over_abs --path rotation --no-title --width 8cm --out share.svg",
            ),
            (
                "Histograms over the width of a page",
                "plot run-curl --kind histograms --width 6.75in --out pairs.png --dpi 600",
            ),
        ],
    ),
    (
        "compare",
        &[
            (
                "The same loops with weights in half the memory",
                on_mnist!("circulation", "--timesteps 100,500,900 --samples 2 --points 20 --weights f16 --out run-f16"),
            ),
            ("What that changes", "compare run-circulation run-f16"),
        ],
    ),
    (
        "inspect",
        &[
            ("Size, cost and memory", "inspect assets/models/mnist"),
            (
                "Every step of a plan with eight tangents, for GPUs",
                "inspect assets/models/mnist --kernels igemm --tangents 8 --plan",
            ),
        ],
    ),
    (
        "init",
        &[(
            "A network of the shipped one's size that nobody trained",
            "init mnist_shuffle_unet --config mnist --out random-mnist",
        )],
    ),
    (
        "import",
        &[(
            "A model directory of an ONNX file and what is known of it",
            "import assets/models/toy/model.onnx --out toy",
        )],
    ),
    ("verify", &[("The shipped case of PyTorch in float64", "verify assets/golden/mnist_shuffle_unet")]),
    (
        "bench",
        &[
            (
                "Evaluations and tangents, kept for later",
                "bench assets/models/mnist --what forward,tangents --json > bench.json",
            ),
            ("What became slower since", "bench assets/models/mnist --what forward,tangents --compare bench.json"),
        ],
    ),
    ("devices", &[("Adapters by number and name, as --adapter takes them", "devices")]),
    (
        "kernels",
        &[(
            "What the driver makes of the convolutions of a network",
            "kernels assets/models/mnist --kernels igemm --shader conv --allow-spills",
        )],
    ),
    ("selftest", &[("Whether the kernels are to be trusted here", "selftest")]),
    ("completions", &[("For bash", "completions bash > ~/.local/share/bash-completion/completions/vorticity")]),
    ("man", &[("The program's page", "man | man -l -"), ("Pages of all verbs", "man --out man1")]),
];

/// The examples of a verb, by its words; of the program's own help, whose verb has no name, those of the main job.
pub fn of(verb: &str) -> &'static [(&'static str, &'static str)] {
    let name = if verb.is_empty() { MAIN } else { verb };
    EXAMPLES.iter().find(|row| row.0 == name).map_or(&[], |row| row.1)
}

/// A command line in lines that are not too long, as a shell takes them; an option stays with its value.
fn broken(command: &str) -> String {
    let mut pieces: Vec<String> = vec![];
    for word in command.split(' ') {
        match pieces.last_mut() {
            Some(option) if option.starts_with("--") && !option.contains(' ') && !word.starts_with("--") => {
                *option += " ";
                *option += word;
            }
            _ => pieces.push(word.to_string()),
        }
    }
    let (mut lines, mut line) = (vec![], String::from("  vorticity"));
    for piece in pieces {
        // A backslash has room behind it.
        if line.len() + piece.len() + 3 > WIDTH {
            lines.push(line);
            line = String::from("   ");
        }
        line += " ";
        line += &piece;
    }
    lines.push(line);
    lines.join(" \\\n")
}

/// A verb's examples as text, under no heading.
pub fn text(verb: &str) -> String {
    let one = |(what, command): &(&str, &str)| format!("  # {what}\n{}", broken(command));
    of(verb).iter().map(one).collect::<Vec<_>>().join("\n")
}

/// The same command, whose help and that of all its verbs end with examples. `verb` is its words without the program's.
pub(super) fn shown(command: Command, verb: &str) -> Command {
    let before =
        command.get_after_help().map(|text| format!("{}\n\n", text.to_string().trim_end())).unwrap_or_default();
    let names: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_string()).collect();
    let command = command.after_help(format!("{before}Examples:\n{}\n", text(verb)));
    names.iter().fold(command, |command, name| {
        let words = if verb.is_empty() { name.clone() } else { format!("{verb} {name}") };
        command.mut_subcommand(name, |own| shown(own, &words))
    })
}
