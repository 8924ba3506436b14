"""Accuracy: COCO's OKS AP, and the share of correct keypoints."""
