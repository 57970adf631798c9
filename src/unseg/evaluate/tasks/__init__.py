"""Tasks: data and metric. A new task is one file and one line here."""

from __future__ import annotations

from unseg.evaluate.tasks.base import Part, Task
from unseg.registry import Registry

TASKS: Registry[Task] = Registry(
    "task",
    Task,
    {
        "person": "unseg.evaluate.tasks.person:PersonTask",
        "ccp": "unseg.evaluate.tasks.ccp:CcpTask",
        "semantic": "unseg.evaluate.tasks.semantic:SemanticTask",
        "medical": "unseg.evaluate.tasks.medical:MedicalTask",
        "instance": "unseg.evaluate.tasks.instance:InstanceTask",
        "panoptic": "unseg.evaluate.tasks.panoptic:PanopticTask",
        "detection": "unseg.evaluate.tasks.detection:DetectionTask",
        "interactive": "unseg.evaluate.tasks.interactive:InteractiveTask",
        "clicked": "unseg.evaluate.tasks.clicked:ClickedTask",
        "remote": "unseg.evaluate.tasks.remote:RemoteTask",
        "trees": "unseg.evaluate.tasks.trees:TreesTask",
        "roads": "unseg.evaluate.tasks.listed:RoadsTask",
        "polyps": "unseg.evaluate.tasks.listed:PolypsTask",
        "lungs": "unseg.evaluate.tasks.listed:LungsTask",
        "facades": "unseg.evaluate.tasks.listed:FacadesTask",
        "folder": "unseg.evaluate.tasks.folder:FolderTask",
        # The paper's data sets in their own layouts, at full size.
        "voc": "unseg.evaluate.tasks.paper.voc:VocTask",
        "ade20k": "unseg.evaluate.tasks.paper.ade20k:Ade20kTask",
        "coco-instance": "unseg.evaluate.tasks.paper.coco:CocoInstanceTask",
        "coco-detection": "unseg.evaluate.tasks.paper.coco:CocoDetectionTask",
        "coco-panoptic": "unseg.evaluate.tasks.paper.coco:CocoPanopticTask",
        "cityscapes": "unseg.evaluate.tasks.paper.cityscapes:CityscapesTask",
        "cityscapes-instance": "unseg.evaluate.tasks.paper.cityscapes:CityscapesInstanceTask",
        "cityscapes-panoptic": "unseg.evaluate.tasks.paper.cityscapes:CityscapesPanopticTask",
        "dis": "unseg.evaluate.tasks.paper.hqseg:DisTask",
        "coift": "unseg.evaluate.tasks.paper.hqseg:CoiftTask",
        "hrsod": "unseg.evaluate.tasks.paper.hqseg:HrsodTask",
        "thinobject": "unseg.evaluate.tasks.paper.hqseg:ThinObjectTask",
        "whu": "unseg.evaluate.tasks.paper.remote:WhuTask",
        "nwpu": "unseg.evaluate.tasks.paper.remote:NwpuTask",
        "ssdd": "unseg.evaluate.tasks.paper.remote:SsddTask",
        "kvasir": "unseg.evaluate.tasks.paper.kvasir:KvasirTask",
    },
)

__all__ = ["TASKS", "Part", "Task"]
