"""The command lines of the trainer, and the files that a run writes."""

from signbit.qmodel.command import Command

COMMANDS = {
    "train": Command("signbit.trainer.command.cli:train_command", "train a network with one-bit weights"),
    "look": Command("signbit.trainer.command.cli:look_command", "what own data are, and what training would do"),
    "summary": Command("signbit.trainer.command.cli:summary_command", "what a network will cost, before training"),
    "tune": Command("signbit.trainer.tune.command:main", "search networks within a budget of flash, RAM and time"),
    "reject": Command(
        "signbit.trainer.command.reject:main", "let a trained model refuse inputs that it is not sure of"
    ),
    "decide": Command(
        "signbit.trainer.command.decide:main", "choose when a model that listens to a stream names a class"
    ),
    "evaluate": Command("signbit.trainer.command.cli:evaluate_command", "accuracy, class by class, of a saved model"),
}
