"""Checkpoints of other projects as networks of ours: `convert.import_checkpoint`. Needs torch.

What is read: the LPN authors' code, Microsoft's pose_resnet (SimpleBaseline) and pose_hrnet, and MMPose's ResNet and
HRNet with a heatmap head. `checkpoint` reads the file, `recognise` tells which network it holds, `names` knows what
each of our tensors is called there, `mmpose` reads MMPose's configuration, `settings` fills in what no tensor can tell.
"""
