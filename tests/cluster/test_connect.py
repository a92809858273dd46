"""How many workers fit on a cluster, and which addresses are refused at once."""

import pytest

from cluster.connect import Node, connect, slots


@pytest.mark.parametrize(
    ("offered", "cpu", "gpu", "expected"),
    [
        ([Node(2, 0)], 1, 0, 2),
        ([Node(2, 0)], 0.5, 0, 4),
        ([Node(2, 0), Node(3, 0)], 2, 0, 2),  # a worker never spans nodes: 1 + 1, not 5 // 2
        ([Node(1, 0), Node(1, 0)], 2, 0, 0),
        ([Node(16, 2)], 1, 0.25, 8),
        ([Node(16, 2)], 1, 0.3, 6),  # three on each GPU; the last tenth of a GPU fits no worker
        ([Node(4, 8)], 1, 0.5, 4),  # the processors are the limit
        ([Node(16, 0)], 1, 0.5, 0),
        ([Node(8, 1)], 0.1, 0.1, 10),  # 1 / 0.1 in binary is still ten
    ],
)
def test_slots_are_counted_node_by_node_and_gpu_by_gpu(offered, cpu, gpu, expected):
    assert slots(offered, cpu=cpu, gpu=gpu) == expected


def test_a_ray_client_address_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"runs the driver on a cluster node.*--address auto"):
        connect("ray://head:10001")


def test_an_address_at_which_nobody_listens_is_refused_at_once():
    with pytest.raises(ConnectionError, match=r"nobody listens at '127.0.0.1:9'"):
        connect("127.0.0.1:9")
