"""Accuracy: COCO's OKS AP, the share of correct keypoints, how sure both are, and where a network goes wrong."""
