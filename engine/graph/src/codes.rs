//! Every code that a fault may have: what it is, why it is a fault, how to mend it. `docs/faults.md` is made from this
//! list and from the bad graphs of the tests.

use crate::code::code;
pub use crate::code::Code;

pub fn get(name: &str) -> Option<&'static Code> {
    CODES.iter().find(|c| c.name == name)
}

/// In the order of their names.
pub const CODES: &[Code] = &[
    code(
        "bad-during",
        "A stage cannot run while the other trains.",
        "What runs during a stage needs one that trains, that is no inner one itself, and of which it takes the weights of the moment; what it reads must be there by then.",
        "Name a stage that trains, and let what this one reads run during it too.",
    ),
    code(
        "bad-edge",
        "A text that should name an output cannot be read as one, or names what cannot be read there.",
        "An edge is `node.port`, or `node.port[item]` for one item of an axis; `stage/node.port` reaches into another stage, and only whole tables come from there.",
        "Write the node's name, a dot, and the output's name; `dv nodes KIND` lists the outputs of a kind.",
    ),
    code(
        "bad-name",
        "A name has letters that names do not have, is a word of the language, or means two things.",
        "Names stand in edges, paths, file names and logs: they are made of a-z, 0-9 and _, and `kind`, `apply`, `in` and the like keep their meaning everywhere.",
        "Choose another name.",
    ),
    code(
        "bad-names",
        "`names` of a model lists neither one path nor one a layer.",
        "The paths say what a model's parameters are called in the reference's state dict; with another count some would have no name.",
        "Give one path for the whole model, or one for each layer in order.",
    ),
    code(
        "bad-path",
        "A path in `--set`, `remove` or a sweep is no TOML key.",
        "Paths are written as TOML writes dotted keys: `stages.pretrain.epochs`, with quotes around a part that has other letters.",
        "Write the names with dots between them.",
    ),
    code(
        "bad-pattern",
        "A pattern of a parameter group cannot be read.",
        "Patterns are paths `model/parameter` with `*` for any text; `:norm` and `:bias` take the parameters of that role.",
        "Write one of these.",
    ),
    code(
        "bad-sweep",
        "An axis of a sweep cannot be read.",
        "An axis is a quoted path with an array of values, or a table of named arms, each of which is a table; every value and arm makes a run of its own.",
        "Quote a path that has dots; give each axis at least one value, and each value once.",
    ),
    code(
        "cycle",
        "Nodes or stages wait for each other.",
        "A node runs when what it reads is there. Only a register leads from one step to the next, through its `write` edge.",
        "Cut one of the edges, or one `after`.",
    ),
    code(
        "ema-of-ema",
        "A model averages one that cannot be averaged.",
        "An average follows a model that the optimiser changes; an average of an average, or of a model with faults, follows nothing.",
        "Name a model with a `kind` in `ema_of`.",
    ),
    code(
        "empty-group",
        "A parameter group matches no parameter that its stage trains.",
        "Its settings would change nothing.",
        "Mend the pattern: `dv show` names the models, `dv probe` their parameters.",
    ),
    code(
        "extends-cycle",
        "A file or a table extends itself, directly or through another.",
        "What extends something is that thing with changes, and so must come after it.",
        "Take one `extends` out.",
    ),
    code(
        "extends-missing",
        "A table extends one that is not beside it.",
        "Inside of a file, `extends` names a sibling: a stage extends a stage, a node a node of the same stage. Files are extended at the top only.",
        "Name a table that stands beside this one.",
    ),
    code(
        "group-cycle",
        "A group applies itself.",
        "A group stands for its nodes, and would hold itself without end.",
        "Declare what both need as a group of its own.",
    ),
    code(
        "groups-overlap",
        "A parameter is in two groups.",
        "Which of the two settings it has would be open.",
        "Narrow one of the patterns.",
    ),
    code(
        "item-axis",
        "The item axes of an input do not suit the node.",
        "An item axis (`view`, `clip`) counts the clips of one sample. Most nodes take any axes; a loss compares items and so wants one of each, and inputs that go through a node together must have the same axes.",
        "Choose an item, `node.port[v0]`, or average over the axis with a kind of the family `collect`.",
    ),
    code(
        "kind-and-apply",
        "A node has both a `kind` and an `apply`.",
        "A node either computes what its kind says, or applies a model or group that was declared above.",
        "Keep one of them.",
    ),
    code(
        "kind-and-ema",
        "A model averages another and has a kind of its own.",
        "The average has the other's kind and settings, and so its parameters.",
        "Take the `kind` out.",
    ),
    code(
        "kind-defect",
        "The code of a kind does not do what the kind declares.",
        "The graph is not at fault: the kind's own code is, be it of the library or of a program's own.",
        "Report it to the author of the kind, with the graph.",
    ),
    code(
        "missing-input",
        "A node lacks an input that it cannot do without.",
        "What a node computes from is never guessed.",
        "Connect the input in the node's `in`; the help says what it carries.",
    ),
    code(
        "missing-setting",
        "A setting that must be given is not there.",
        "What changes a result has no default: the graph says it, and so the paper's page and the run agree.",
        "Add the setting; the help says what it means.",
    ),
    code(
        "model-as-node",
        "A kind that owns parameters is used as a node.",
        "Parameters belong to models, which several nodes may apply; a node of its own would hide that they are shared, saved and trained.",
        "Declare it under `[models.NAME]` and write `apply = \"NAME\"` in the node.",
    ),
    code(
        "model-shape",
        "A model would need other parameter shapes in one pass than in another.",
        "The parameters are the same in all passes, and their shapes follow from the input.",
        "Give both passes inputs with the same number of features, or declare two models.",
    ),
    code(
        "needs-after",
        "Two passes update the running statistics of one model, and nothing says which comes first.",
        "The order changes the buffers that are left, and the place in the file is no order.",
        "Write `after` in the pass that comes second.",
    ),
    code(
        "newer-schema",
        "The graph is written for a newer dv.",
        "`schema` counts the changes of the language; what this dv does not know it would misread.",
        "Use a newer dv.",
    ),
    code(
        "no-average",
        "A stage trains beside a model that averages another, and does not apply the other.",
        "The average would follow a model that does not change there.",
        "Apply the other model too, or freeze the average.",
    ),
    code(
        "no-file",
        "A graph cannot be read from the disk.",
        "The file is not there, is a folder, or is no UTF-8 text. Paths in `extends` start at the folder of the file that names them.",
        "Mend the path.",
    ),
    code(
        "no-inputs",
        "Something is connected to a node or group that takes nothing.",
        "Sources and draws make their outputs from the sample alone.",
        "Take `in` out.",
    ),
    code(
        "no-origin",
        "It is open, or impossible, where a model's weights come from.",
        "A model that an earlier stage trained could go on from there or start anew; either is a valid experiment, so the graph says which. Weights can come only from a stage that trains, applies the model, and had that epoch.",
        "Write `weights` in the stage: `\"initial\"`, the name of a stage, or a table with one of these for each model.",
    ),
    code(
        "no-set",
        "A packed set that the graph reads is not in the data's folder.",
        "Without `--data` this is a note: a graph can be checked where the data is not.",
        "Make the set with the line that the help gives, or name the data's folder with `--data`.",
    ),
    code(
        "no-source",
        "A stage computes on samples and has no source.",
        "The source says which videos an epoch holds; without it there is no batch.",
        "Add a node of the family `source`.",
    ),
    code(
        "not-a-model",
        "A kind without parameters is declared as a model.",
        "A model is what owns parameters; everything else is a node.",
        "Use the kind in a node, `kind = \"...\"`.",
    ),
    code(
        "not-a-scalar",
        "`minimise` or `metrics` names something else than a single number.",
        "A step minimises one number, and a metric is one number a step or a stage.",
        "Name a loss, or a metric of a node: `loss.loss`, `contrast.top1`.",
    ),
    code(
        "not-a-table",
        "`files` names something else than a table.",
        "A file holds one row for each sample of a stage, with the samples' ids.",
        "Name the table of a kind of the family `collect`, or one that an evaluator gives: `table.rows`, `score.ranks`.",
    ),
    code(
        "not-yet",
        "The graph asks for something that this dv cannot do yet.",
        "It is part of the language, and is refused rather than left out silently.",
        "Leave it out, or use a later dv.",
    ),
    code(
        "out-of-range",
        "A setting has the right type and an impossible value.",
        "The kind says which values make sense.",
        "Choose a value in the range that the message gives.",
    ),
    code(
        "remove-missing",
        "`remove` names what is not there.",
        "What was to be taken away stays under another name, and the ablation would be the whole method.",
        "Mend the path; it starts at the table in which `remove` stands.",
    ),
    code(
        "remove-without-extends",
        "`remove` stands where nothing is extended.",
        "It takes away what an `extends` brings, before the table's own keys; here it would do nothing.",
        "Move it beside the `extends`, or take it out.",
    ),
    code(
        "set-missing",
        "A path of `--set`, or of a sweep, leads through a table that is not there.",
        "A new table would be a setting that nothing reads, most often a misspelt one.",
        "Mend the path.",
    ),
    code(
        "shape",
        "The lengths of an input do not fit the node, its settings, or another input.",
        "Shapes are followed from the source to the loss before anything runs.",
        "Look at the shapes with `dv show`, and change the setting or the edge.",
    ),
    code(
        "syntax",
        "The text is no TOML.",
        "Nothing can be read from such a line; what follows from it is not told.",
        "Mend the line. All syntax faults of a file are told at once.",
    ),
    code(
        "too-large",
        "An output, a register or the models would be larger than any machine holds.",
        "Sizes follow from the settings, and are compared with the limits before anything is allocated: 64 GiB for one output of a batch, 10,000 items for each sample, 10,000,000,000 numbers in all models (docs/language.md lists all limits).",
        "Make the setting smaller that the message leads to: the batch, the frame size, the number of clips, the width of a model.",
    ),
    code(
        "too-many",
        "A graph comes to more nodes, values, files or points than any experiment has.",
        "Groups, `[values]`, `extends` and sweeps multiply what is written once. What they come to is counted while they are expanded, and nothing further is done beyond the limits (docs/language.md lists them).",
        "Look for a group, value or axis that multiplies others, or split the experiment into several graphs.",
    ),
    code(
        "unknown-choice",
        "A setting with a fixed list of texts has another one.",
        "Nothing near is taken in its place.",
        "Choose one of the list.",
    ),
    code(
        "unknown-input",
        "A node or group has no input of that name.",
        "An edge that nothing reads would be left out silently.",
        "Take one of the inputs that the help names.",
    ),
    code(
        "unknown-item",
        "An edge takes an item that its axis does not have, or that several axes have.",
        "Items are named by what made the axis: the inputs' names of `batch/stack`, numbers from 0 where a sampler only counts.",
        "Take one of the items that the help names.",
    ),
    code(
        "unknown-key",
        "The graph, a group or a stage has a key that means nothing there.",
        "A misspelt key would be a setting that is silently not set.",
        "Take the name that the help gives.",
    ),
    code(
        "unknown-kind",
        "There is no kind of that name.",
        "Kinds are the nodes and models that this dv has.",
        "Take the name that the help gives; `dv nodes` lists all.",
    ),
    code(
        "unknown-metric",
        "A schedule or `keep.best` goes by a metric that is not there when an epoch ends.",
        "Known then are the metrics of the stage and of those that run during it.",
        "Take one of these; let the stage that measures run `during` this one.",
    ),
    code(
        "unknown-model",
        "There is no model, or no group, of that name.",
        "`apply`, `frozen` and `weights` name what `[models]` and `[groups]` declare.",
        "Take the name that the help gives, or declare it.",
    ),
    code(
        "unknown-node",
        "There is no node of that name in the stage.",
        "Edges and `after` name nodes of the same stage; inside of a group, of the group.",
        "Take the name that the help gives; `stage/node.port` reaches into another stage.",
    ),
    code(
        "unknown-port",
        "The node has no output of that name.",
        "The outputs are fixed by the kind, those of a group by its `out`.",
        "Take the name that the help gives.",
    ),
    code(
        "unknown-setting",
        "The kind has no setting of that name.",
        "A misspelt setting would be silently not set.",
        "Take the name that the help gives; `dv nodes KIND` lists the settings.",
    ),
    code(
        "unknown-stage",
        "There is no stage of that name.",
        "`weights` and edges like `stage/node.port` name stages of the same graph.",
        "Take the name that the help gives.",
    ),
    code(
        "unknown-value",
        "A text like `\"$size\"` names a value that `[values]` does not have.",
        "A text that starts with a dollar stands for a value.",
        "Declare the value, or write `\"$$\"` for a dollar.",
    ),
    code(
        "untrained",
        "A model should train and gets no gradient, or nothing trains at all.",
        "It would stay as it was drawn, and nobody would see it.",
        "Use its output in the loss, or freeze it: `frozen = [\"NAME\"]`.",
    ),
    code(
        "unused",
        "A node, group or model has no effect on any result.",
        "It is most often connected by a wrong edge, or left over from another experiment.",
        "Connect it or take it out. What a `false` switches off goes by itself.",
    ),
    code(
        "unused-setting",
        "A setting stands in a stage that has no use for it.",
        "A stage without `minimise` runs through its samples once and trains nothing.",
        "Take it out, or give the stage a `minimise`.",
    ),
    code(
        "unused-value",
        "Nothing reads a value of `[values]`.",
        "Changing it would change nothing.",
        "Write `\"$NAME\"` where it is meant, or take it out.",
    ),
    code(
        "value-cycle",
        "A value is made of itself.",
        "A value may name others, never itself.",
        "Give it a value of its own.",
    ),
    code(
        "wrong-place",
        "A node that runs on the host only reads what the device makes.",
        "Samples go from the host to the device and not back.",
        "Put the node before those that run on the device.",
    ),
    code(
        "wrong-port-type",
        "An edge carries another type than the input takes.",
        "Bytes, floats, indices, videos and tables are told apart: nothing is converted silently.",
        "Read another output, or put a node between that converts: `view/normalize` makes floats of bytes.",
    ),
    code(
        "wrong-rate",
        "A node reads what does not come about when it runs.",
        "A value comes once a sample, once a batch, or once a stage; what comes once a stage is there after its last batch.",
        "Gather rows over the stage with a kind of the family `collect`, or read what comes with the batch.",
    ),
    code(
        "wrong-set",
        "A packed set is not what the graph asks for.",
        "Size, streams and splits belong to the experiment: another size is another experiment.",
        "Pack the set as the graph asks, or ask for what there is; `dv inspect` shows it.",
    ),
    code(
        "wrong-type",
        "A value has another type than the setting takes.",
        "Nothing is converted: the text \"16\" is no number.",
        "Write the value as the message says.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order_and_written_in_sentences() {
        assert!(CODES.windows(2).all(|w| w[0].name < w[1].name), "sorted, each once");
        for c in CODES {
            for text in [c.what, c.why, c.mend] {
                let first = text.chars().next().unwrap();
                assert!(text.ends_with('.') && (first.is_uppercase() || first == '`'), "{}: {text}", c.name);
            }
        }
    }

    /// Codes are plain texts where they are told: each of them is in the list, and each of the list is told somewhere.
    #[test]
    fn codes_of_the_sources_are_those_of_the_list() {
        let mut found = std::collections::BTreeSet::new();
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
        for file in std::fs::read_dir(dir).unwrap().map(|f| f.unwrap().path()).filter(|f| f.is_file() && !f.ends_with("codes.rs")) {
            let text = std::fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            for at in ["faults\n.add(", "faults.add(", "faults.note(", "faults.stop(", "self.add(", "let code = "] {
                let joined: String = code.lines().map(|l| l.trim()).collect::<Vec<_>>().join("\n");
                for rest in joined.split(at).skip(1) {
                    let end = rest.find(';').unwrap_or(rest.len());
                    let statement = &rest[..end.min(200)];
                    let first = statement.trim_start();
                    match at {
                        "let code = " => found.extend(statement.split('"').skip(1).step_by(2).map(String::from)),
                        _ if first.starts_with('"') => found.extend(first.split('"').nth(1).map(String::from)),
                        _ => {}
                    }
                }
            }
        }
        let unlisted: Vec<&String> = found.iter().filter(|name| get(name).is_none()).collect();
        assert!(unlisted.is_empty(), "told and not in the list of codes: {unlisted:?}");
        let untold: Vec<&str> = CODES.iter().map(|c| c.name).filter(|name| !found.contains(*name)).collect();
        assert!(untold.is_empty(), "in the list and never told: {untold:?}");
    }
}
