"""The article's training with torch, for the case `train` of ray-bench, which runs this script with the python of `--python`.

    train.py check                        prints "torchvision" if it is installed; fails without torch and Ray Train
    train.py alone DATA WEIGHTS           torch on one thread; an epoch for each line of the input
    train.py trainer DATA[,DATA] WEIGHTS  TorchTrainer, for each DATA with 2 and with 4 workers

DATA is `tensors`, all images as one tensor in memory, or `article`, torchvision's data set in a DataLoader as in the article.
WEIGHTS is a file with the weights at the beginning of every epoch, as little-endian f32: the weight of each layer, then its
bias. The images are those in FASHION_MNIST_DIR. The script prints a line for every epoch: seconds, the peak of the resident
memory of the processes in MB, the mean loss of the batches of rank 0, and its last loss.
"""

import gzip
import importlib.util
import os
import sys
import tempfile
import time

BATCH = 64
LEARNING_RATE = 0.01
FILES = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]


def read(name):
    """Reads a file of the set, gzipped or not."""
    path = os.path.join(os.environ["FASHION_MNIST_DIR"], name)
    if os.path.exists(path + ".gz"):
        with gzip.open(path + ".gz") as file:
            return file.read()
    with open(path, "rb") as file:
        return file.read()


def tensors(rank, world):
    """The batches of a rank: slices of a tensor with the images of its share."""
    import numpy
    import torch

    labels = torch.from_numpy(numpy.frombuffer(read(FILES[1]), numpy.uint8, offset=8).astype(numpy.int64))
    images = torch.from_numpy(numpy.frombuffer(read(FILES[0]), numpy.uint8, offset=16).reshape(len(labels), -1).copy())
    share = torch.arange(rank, rank + world * -(-len(labels) // world), world) % len(labels)
    images, labels = images[share].float() / 255, labels[share]
    starts = range(0, len(labels), BATCH)
    return lambda: ((images[at : at + BATCH], labels[at : at + BATCH]) for at in starts)


def article(folder):
    """The article's loader of a folder in torchvision's layout."""
    from torch.utils.data import DataLoader
    from torchvision import datasets
    from torchvision.transforms import ToTensor

    dataset = datasets.FashionMNIST(root=folder, train=True, download=False, transform=ToTensor())
    return DataLoader(dataset, batch_size=BATCH)


def unpacked(folder):
    """Puts the set into a folder in torchvision's layout."""
    raw = os.path.join(folder, "FashionMNIST", "raw")
    os.makedirs(raw)
    for name in FILES:
        with open(os.path.join(raw, name), "wb") as file:
            file.write(read(name))
    return folder


def network():
    """The article's network."""
    from torch import nn

    return nn.Sequential(
        nn.Flatten(), nn.Linear(28 * 28, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )


def set_weights(model, path):
    """Loads the weights of a file into a network."""
    import numpy
    import torch

    numbers, at = torch.from_numpy(numpy.fromfile(path, "<f4")), 0
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(numbers[at : at + parameter.numel()].view_as(parameter))
            at += parameter.numel()


def epoch(model, batches):
    """Trains an epoch; returns the mean of its losses and its last loss."""
    import torch

    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    losses = []
    for inputs, labels in batches:
        optimizer.zero_grad()
        loss = criterion(model(inputs), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return sum(losses) / len(losses), losses[-1]


def peak():
    """The largest resident memory that this process has had, in MB."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def alone(data, weights):
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if data == "article":
            loader = article(unpacked(folder))
            batches = lambda: loader
        else:
            batches = tensors(0, 1)
        model = network()
        for _ in sys.stdin:
            set_weights(model, weights)
            begin = time.perf_counter()
            mean, last = epoch(model, batches())
            print(time.perf_counter() - begin, peak(), mean, last, flush=True)


def train_loop(config):
    """The loop of each worker of TorchTrainer: two epochs, of which the second counts."""
    import ray.train
    import ray.train.torch
    import torch
    from torch import distributed

    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    if config["data"] == "article":
        loader = ray.train.torch.prepare_data_loader(article(config["folder"]))
        batches = lambda: loader
    else:
        batches = tensors(rank, world)
    model = ray.train.torch.prepare_model(network())
    for _ in range(2):
        set_weights(model, config["weights"])
        distributed.barrier()
        begin = time.perf_counter()
        mean, last = epoch(model, batches())
        distributed.barrier()
        seconds = time.perf_counter() - begin
    memory = torch.tensor([peak()])
    distributed.all_reduce(memory)
    if rank == 0:
        with open(config["answer"], "w") as file:
            print(seconds, memory.item(), mean, last, file=file)


def trainer(kinds, weights, answers):
    import logging

    import ray
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    cpus = max(4, os.cpu_count())
    ray.init(address="local", num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        with tempfile.TemporaryDirectory() as folder:
            if "article" in kinds:
                unpacked(folder)
            for data in kinds:
                for workers in (2, 4):
                    answer = os.path.join(folder, "answer")
                    config = {"data": data, "folder": folder, "weights": weights, "answer": answer}
                    TorchTrainer(
                        train_loop,
                        train_loop_config=config,
                        scaling_config=ScalingConfig(num_workers=workers, use_gpu=False),
                        run_config=RunConfig(storage_path=os.path.join(folder, "runs")),
                    ).fit()
                    with open(answer) as file:
                        print(file.read(), end="", file=answers, flush=True)
                    os.remove(answer)
    finally:
        ray.shutdown()


def main():
    what, *arguments = sys.argv[1:]
    if what == "check":
        import numpy
        import ray.train.torch
        import torch

        if importlib.util.find_spec("torchvision"):
            print("torchvision")
    elif what == "alone":
        alone(*arguments)
    elif what == "trainer":
        # Ray prints to the standard output too: the answers go to a copy of it, and the rest to the standard error.
        answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        kinds, weights = arguments
        trainer(kinds.split(","), weights, answers)


if __name__ == "__main__":
    main()
