//! Every code that an error or note of `dv check` may have: what it is, why, and how to correct it. `docs/faults.md` is
//! generated from this list and from the bad graphs of the tests.

use crate::code::code;
pub use crate::code::Code;

pub fn get(name: &str) -> Option<&'static Code> {
    CODES.iter().find(|c| c.name == name)
}

/// In the order of their names.
pub const CODES: &[Code] = &[
    code(
        "bad-during",
        "A stage cannot run during the other stage.",
        "The stage named in `during` must train and must not run during a third one. The inner stage uses its current weights, and everything else that it reads must exist by then.",
        "Name a stage that trains, and let the stages that this one reads run during it too.",
    ),
    code(
        "bad-edge",
        "A string that should name an output is not an edge, or names something that cannot be read there.",
        "An edge is `node.port`, or `node.port[item]` for one item of an axis. `stage/node.port` reads a whole table of another stage.",
        "Write the node's name, a dot, and the output's name; `dv nodes KIND` lists the outputs of a kind.",
    ),
    code(
        "bad-name",
        "A name has characters that names cannot have, is a reserved word, or has two meanings.",
        "Names appear in edges, paths, file names and logs, so they consist of a-z, 0-9 and _. `kind`, `apply`, `in`, `out`, `write`, `after`, `weights` and `initial` are reserved everywhere; `stage` and `file` cannot name a model or a register.",
        "Choose another name.",
    ),
    code(
        "bad-names",
        "`names` does not match the tensors that it should name.",
        "`names` gives one path for the whole model, one path for each of its layers, or one for each tensor of a register; and it can name one model only.",
        "Give one path for the whole model, or one for each layer in order.",
    ),
    code(
        "bad-path",
        "A path in `--set`, `remove` or a sweep is not a TOML key.",
        "Paths are dotted TOML keys, such as `stages.pretrain.epochs`; a part with other characters is quoted.",
        "Write the names with dots between them.",
    ),
    code(
        "bad-pattern",
        "A pattern of a parameter group is invalid.",
        "A pattern is a path `model/parameter`, where `*` matches any characters; `:norm` and `:bias` select parameters by their role.",
        "Write a path, a role, or a path followed by a role.",
    ),
    code(
        "bad-sweep",
        "An axis of a sweep is invalid.",
        "An axis is a quoted path with an array of values, or a table of named arms, each of which is a table. Each value or arm is a run.",
        "Quote a path that has dots; give each axis at least one value, and each value once.",
    ),
    code(
        "class-count",
        "Labels count more or fewer classes than there are logits.",
        "A label beyond the logits has no meaning, and a logit without a class takes probability from the others. What the set holds is compared once the data is there (`--data`, and at the start of a run).",
        "Give the head as many outputs as the set has classes (`classes = 101`).",
    ),
    code(
        "cycle",
        "Nodes or stages wait for each other.",
        "A node runs when its inputs are available. Only the `write` edge of a register leads from one step to the next.",
        "Remove one of the edges, or one `after`.",
    ),
    code(
        "ema-of-ema",
        "A model averages a model that cannot be averaged.",
        "An average follows a model that the optimiser changes. It cannot follow another average, or a model that has errors itself.",
        "Name a model with a `kind` in `ema_of`.",
    ),
    code(
        "empty-group",
        "A parameter group matches no parameter that its stage trains.",
        "Its settings would have no effect.",
        "Correct the pattern; `dv show` lists the models, and `dv show --format json` their parameters.",
    ),
    code(
        "extends-cycle",
        "A file or a table extends itself, directly or through another.",
        "What extends something is a changed copy of it, so it cannot also be its source.",
        "Remove one `extends`.",
    ),
    code(
        "extends-missing",
        "A table extends one that does not exist in the same table.",
        "Inside a file, `extends` names a sibling: a stage extends a stage, a node extends a node of the same stage. Files are extended at the top level only.",
        "Name a sibling of this table.",
    ),
    code(
        "group-cycle",
        "A group applies itself.",
        "A group is replaced by its nodes, so it cannot contain itself.",
        "Put the nodes that both need into a group of their own.",
    ),
    code(
        "groups-overlap",
        "A parameter is in two parameter groups.",
        "It would have two values of the same setting.",
        "Narrow one of the patterns.",
    ),
    code(
        "item-axis",
        "The item axes of an input do not fit the node.",
        "An item axis (`view`, `clip`) counts the clips of one sample. Most nodes accept any axes. A loss compares single items, and inputs that a node processes together must have the same axes.",
        "Choose an item, `node.port[v0]`, or average over the axis with a kind of the family `collect`.",
    ),
    code(
        "kind-and-apply",
        "A node has both a `kind` and an `apply`.",
        "A node either computes what its kind says, or applies a model or group.",
        "Keep one of them.",
    ),
    code(
        "kind-and-ema",
        "A model averages another and has a `kind` of its own.",
        "The average has the kind and settings of the model that it averages.",
        "Remove the `kind`.",
    ),
    code(
        "kind-defect",
        "The code of a kind does not do what the kind declares.",
        "The graph is not at fault: the kind's own code is, be it of the library or of a program's own.",
        "Report it to the author of the kind, with the graph.",
    ),
    code(
        "long-clips",
        "Clips span more frames than any video of the split has (a note).",
        "A sampler then repeats the last frames, and what the network sees of motion is less than it seems.",
        "Take a smaller `length` or `stride`, or longer videos.",
    ),
    code(
        "missing-input",
        "A required input of a node is not connected.",
        "Inputs are never guessed.",
        "Connect the input in the node's `in`; the help says what it carries.",
    ),
    code(
        "missing-rows",
        "Rows of a split's list are not in the packed set. A note: the check passes.",
        "What was rejected while packing, or has no file, is read by nobody; which rows are withheld, and the clips of the others, do not depend on it.",
        "Look at the reasons (`dv inspect`), and pack again where they can be mended.",
    ),
    code(
        "missing-setting",
        "A required setting is missing.",
        "A setting that changes a result has no default, so that the graph states every one of them.",
        "Add the setting; the help says what it means.",
    ),
    code(
        "model-as-node",
        "A kind that owns parameters is used as a node.",
        "Parameters belong to models, which several nodes can apply.",
        "Declare it under `[models.NAME]` and write `apply = \"NAME\"` in the node.",
    ),
    code(
        "model-shape",
        "A model would need different parameter shapes in two of its passes.",
        "Parameter shapes follow from the input, and all passes share the parameters.",
        "Give both passes inputs with the same number of features, or declare two models.",
    ),
    code(
        "needs-after",
        "Two passes update the running statistics of one model, and their order is not given.",
        "The order changes the statistics, and a node's place in the file does not define it.",
        "Write `after` in the second pass.",
    ),
    code(
        "newer-schema",
        "The graph is written for a newer version of dv.",
        "`schema` is the version of the language; this dv would misread a newer one.",
        "Use a newer dv.",
    ),
    code(
        "no-average",
        "A stage trains with an averaging model, and does not apply the model that it averages.",
        "The average would follow a model that does not change in this stage.",
        "Apply the averaged model too, or freeze the average.",
    ),
    code(
        "no-file",
        "A graph file cannot be read.",
        "The file does not exist, is a folder, or is not UTF-8 text. A path in `extends` is relative to the file that names it.",
        "Correct the path.",
    ),
    code(
        "no-inputs",
        "An edge is connected to a node or group without inputs.",
        "Sources and draws compute their outputs from the sample alone.",
        "Remove `in`.",
    ),
    code(
        "no-origin",
        "It is not stated where a model's weights come from, or they cannot come from there.",
        "A model that an earlier stage trained could continue from there or start again from its initial values; the graph says which. Weights can come only from a stage that trains, applies the model, and has that epoch.",
        "Write `weights` in the stage: `\"initial\"`, the name of a stage, or a table that gives each model its origin.",
    ),
    code(
        "no-set",
        "A packed set that the graph reads is not in the data folder.",
        "Without `--data` this is a note, so that a graph can be checked on a machine without the data.",
        "Create the set with the command in the help, or name the data folder with `--data`.",
    ),
    code(
        "no-source",
        "A stage processes samples and has no source.",
        "The source defines which videos an epoch holds; without it there is no batch.",
        "Add a node of the family `source`.",
    ),
    code(
        "not-a-model",
        "A kind without parameters is declared as a model.",
        "Only kinds that own parameters are models.",
        "Use the kind in a node: `kind = \"...\"`.",
    ),
    code(
        "not-a-scalar",
        "`minimise` or `metrics` names something other than a single number.",
        "A step minimises one number, and a metric is one number per step or stage.",
        "Name a loss, or a metric of a node: `loss.loss`, `contrast.top1`.",
    ),
    code(
        "not-a-table",
        "`files` names something other than a table.",
        "A file holds one row for each sample of a stage, with the samples' ids.",
        "Name a table of a kind of the family `collect`, or one of an evaluator: `table.rows`, `score.ranks`.",
    ),
    code(
        "out-of-range",
        "A setting has the right type and an invalid value.",
        "The kind defines which values are valid.",
        "Choose a value in the range that the message gives.",
    ),
    code(
        "overlap",
        "A set that is trained on and a set that is tested with share videos, or queries are in the gallery. A note: the check passes.",
        "A video that was trained on, another clip of the same source (a group), or the same file under another name is easy to recognise, so that figures come out too good. One file under two classes makes one of its labels wrong.",
        "Correct the lists and pack again; where it is meant, such as a test on the training videos, leave it.",
    ),
    code(
        "remove-missing",
        "`remove` names something that does not exist.",
        "Nothing would be removed, and the ablation would be the unchanged method.",
        "Correct the path; it starts at the table that contains `remove`.",
    ),
    code(
        "remove-without-extends",
        "`remove` is used in a table that extends nothing.",
        "`remove` drops what `extends` brings, before the table's own keys.",
        "Move it next to the `extends`, or remove it.",
    ),
    code(
        "set-missing",
        "A path of `--set`, or of a sweep, leads through a table that does not exist.",
        "A new table would be a setting that nothing reads, most often a misspelt one.",
        "Correct the path.",
    ),
    code(
        "shape",
        "The shape of an input does not fit the node, its settings, or another input.",
        "Shapes are inferred from the source to the loss before anything runs.",
        "Look at the shapes with `dv show`, and change the setting or the edge.",
    ),
    code(
        "stack-item-unused",
        "An item of a stack reaches no loss, metric or table (a note).",
        "It is still computed, and its rows are part of the model's batch norm. It is not removed automatically, because that would change the statistics of the other items.",
        "Remove it from the stack's `in`, or keep it if the published method has it too.",
    ),
    code(
        "steps-beyond",
        "A schedule has a step after the stage's last epoch (a note).",
        "The step has no effect. A recipe that was cut short often keeps the steps of the long one.",
        "Move the step, or train longer.",
    ),
    code(
        "syntax",
        "The file is not valid TOML.",
        "Nothing can be read from such a line; errors that only follow from it are not reported.",
        "Correct the line. All syntax errors of a file are reported at once.",
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
        "A setting with a fixed list of values has another one.",
        "No fallback is chosen.",
        "Choose one of the list.",
    ),
    code(
        "unknown-input",
        "A node or group has no input of that name.",
        "An edge that nothing reads would be ignored silently.",
        "Use one of the inputs in the help.",
    ),
    code(
        "unknown-item",
        "An edge takes an item that its axis does not have, or that several axes have.",
        "What creates an axis names its items: `batch/stack` by its inputs' names, a sampler by numbers from 0.",
        "Use one of the items in the help.",
    ),
    code(
        "unknown-key",
        "The graph or a group has a key that the language does not define.",
        "A misspelt key would be a setting that is silently ignored.",
        "Use the name in the help.",
    ),
    code(
        "unknown-kind",
        "There is no kind of that name.",
        "Kinds are the nodes and models that this dv contains.",
        "Use the name in the help; `dv nodes` lists all of them.",
    ),
    code(
        "unknown-metric",
        "A schedule or `keep.best` uses a metric that is not available at the end of an epoch.",
        "Available are the metrics of the stage itself and of the stages that run during it.",
        "Use one of these, or let the stage that computes it run `during` this one.",
    ),
    code(
        "unknown-model",
        "There is no model or group of that name.",
        "`apply`, `frozen` and `weights` use the names that `[models]` and `[groups]` declare.",
        "Use the name in the help, or declare it.",
    ),
    code(
        "unknown-node",
        "There is no node of that name in the stage.",
        "Edges and `after` name nodes of the same stage; inside a group, nodes of the group.",
        "Use the name in the help; `stage/node.port` reads from another stage.",
    ),
    code(
        "unknown-port",
        "The node has no output of that name.",
        "The kind defines a node's outputs; `out` defines those of a group.",
        "Use the name in the help.",
    ),
    code(
        "unknown-setting",
        "The kind or the stage has no setting of that name.",
        "A misspelt setting would be silently ignored.",
        "Use the name in the help; `dv nodes KIND` lists the settings of a kind.",
    ),
    code(
        "unknown-stage",
        "There is no stage of that name.",
        "`weights` and edges such as `stage/node.port` name stages of the same graph.",
        "Use the name in the help.",
    ),
    code(
        "unknown-value",
        "A string such as `\"$size\"` names a value that `[values]` does not declare.",
        "A string that begins with a dollar is replaced by the value of that name.",
        "Declare the value, or write `\"$$\"` for a dollar.",
    ),
    code(
        "unsupported",
        "The graph uses something that this version of dv does not support.",
        "It is part of the language, and is refused rather than ignored silently.",
        "Remove it, or use a later version.",
    ),
    code(
        "untrained",
        "A model that should train gets no gradient, or the stage trains nothing.",
        "It would keep its initial values without anyone noticing.",
        "Use its output in the loss, or freeze it: `frozen = [\"NAME\"]`.",
    ),
    code(
        "unused",
        "A node, group or model has no effect on any result.",
        "It is usually connected by a wrong edge, or left over from another experiment. A group or model of an extended file is a note.",
        "Connect it or remove it. What only fed a term that `false` switches off is removed automatically.",
    ),
    code(
        "unused-setting",
        "A setting has no effect in this stage.",
        "A stage without `minimise` passes over its samples once and trains nothing.",
        "Remove it, or give the stage a `minimise`.",
    ),
    code(
        "unused-value",
        "Nothing reads a value of `[values]`.",
        "Changing it would have no effect. A value of an extended file is a note.",
        "Write `\"$NAME\"` where it is meant, or remove it.",
    ),
    code(
        "value-cycle",
        "A value is defined by itself.",
        "A value may name others, but not itself, directly or through them.",
        "Write the value itself in one of them.",
    ),
    code(
        "wrong-place",
        "A node that runs only on the host reads what the device computes.",
        "Samples go from the host to the device and not back.",
        "Put the node before those that run on the device.",
    ),
    code(
        "wrong-port-type",
        "An edge carries another type than the input accepts.",
        "Nothing is converted silently between bytes, floats, indices, videos and tables.",
        "Read another output, or insert a node that converts: `view/normalize` turns bytes into floats.",
    ),
    code(
        "wrong-rate",
        "A node reads a value that is not available when it runs.",
        "A value exists once for each sample, once for each batch, or once for each stage; the last is available after the stage's last batch.",
        "Gather rows over the stage with a kind of the family `collect`, or read a value of the batch.",
    ),
    code(
        "wrong-set",
        "A packed set is not what the graph asks for.",
        "Size, streams and splits belong to the experiment: another size is another experiment.",
        "Pack the set as the graph asks, or change the graph to what the set has; `dv inspect` shows it.",
    ),
    code(
        "wrong-type",
        "A value has another type than the setting accepts.",
        "Nothing is converted: the string \"16\" is not a number.",
        "Write the value as the message says.",
    ),
    code(
        "wrong-weights",
        "A weights file is missing, unreadable, of another format or not the model's.",
        "It is read when its stage begins, which may be after days. So it is looked at before the first stage, and by `dv check --data`.",
        "Give the file of the model that the graph describes; `names` says what the file calls the model.",
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

    /// Codes are plain strings where they are reported: each of them is in the list, and each of the list is reported somewhere.
    #[test]
    fn codes_of_the_sources_are_those_of_the_list() {
        let mut found = std::collections::BTreeSet::new();
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
        for file in std::fs::read_dir(dir).unwrap().map(|f| f.unwrap().path()).filter(|f| f.is_file() && !f.ends_with("codes.rs")) {
            let text = std::fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            for at in ["faults\n.add(", "faults\n.note(", "faults.add(", "faults.note(", "faults.stop(", "self.add(", "let code = "] {
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
        assert!(unlisted.is_empty(), "reported and not in the list of codes: {unlisted:?}");
        let untold: Vec<&str> = CODES.iter().map(|c| c.name).filter(|name| !found.contains(*name)).collect();
        assert!(untold.is_empty(), "in the list and never reported: {untold:?}");
    }
}
