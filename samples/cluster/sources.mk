# SPDX-License-Identifier: MIT
bare-images += cluster
cluster-bare-src := samples/cluster/cluster.c samples/cluster/font.c samples/cluster/mesh.c samples/cluster/scene.c
