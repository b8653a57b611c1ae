"""Label files of every format, from polygons by class: [(class name, shapely polygon)] in pixels (x, y)."""

import json
from xml.sax.saxutils import quoteattr

import numpy as np
import rasterio.features
import shapely
from shapely.geometry import mapping, shape

from utils.rle import find_runs


def polygons_of(mask, class_names):
    """Outlines along the edges of the pixels of class indices, by a second implementation."""
    found = rasterio.features.shapes(mask, mask=mask > 0, connectivity=4)
    return [(class_names[int(value) - 1], shape(geometry)) for geometry, value in found]


def paint(objects, class_names, size):
    """Class indices by a second implementation; of several classes the last counts."""
    mask = np.zeros(size, np.uint8)
    for index, name in enumerate(class_names, start=1):
        own = [polygon for class_name, polygon in objects if class_name == name]
        if own:
            rasterio.features.rasterize([(polygon, index) for polygon in own], out=mask)
    return mask


def feature(class_name, polygon, **properties):
    """A feature as QuPath writes it."""
    if class_name:
        properties["classification"] = {"name": class_name, "color": [200, 0, 0]}
    properties = {"objectType": "annotation", **properties}
    return {"type": "Feature", "id": "PathAnnotationObject", "geometry": mapping(polygon), "properties": properties}


def write_geojson(path, objects):
    features = [feature(*each) for each in objects]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return path


def write_asap(path, objects):
    """Holes are annotations of a group 'hole', since ASAP has no others."""
    rings = [(name, ring) for name, polygon in objects for ring in [polygon.exterior]]
    rings += [("hole", ring) for _, polygon in objects for ring in polygon.interiors]
    annotations = "".join(
        f'<Annotation Name="Annotation {number}" Type="Polygon" PartOfGroup={quoteattr(name)} ><Coordinates>'
        + "".join(f'<Coordinate Order="{i}" X="{x:g}" Y="{y:g}" />' for i, (x, y) in enumerate(ring.coords[:-1]))
        + "</Coordinates></Annotation>"
        for number, (name, ring) in enumerate(rings)
    )
    groups = "".join(
        f'<Group Name={quoteattr(name)} PartOfGroup="None" Color="#00ff00"><Attributes /></Group>'
        for name in dict.fromkeys(name for name, _ in rings)
    )
    text = f"<Annotations>{annotations}</Annotations><AnnotationGroups>{groups}</AnnotationGroups>"
    path.write_text(f'<?xml version="1.0"?>\n<ASAP_Annotations>{text}</ASAP_Annotations>\n', encoding="utf-8")
    return path


def write_imagescope(path, objects):
    """A layer a class; holes are negative regions."""
    layers = ""
    for number, name in enumerate(dict.fromkeys(name for name, _ in objects), start=1):
        own = [polygon for class_name, polygon in objects if class_name == name]
        rings = [(ring, 0) for polygon in own for ring in [polygon.exterior]]
        rings += [(ring, 1) for polygon in own for ring in polygon.interiors]
        regions = "".join(
            f'<Region Id="{i}" Type="0" Zoom="0.5" Text="" NegativeROA="{is_hole}" Analyze="1"><Attributes/><Vertices>'
            + "".join(f'<Vertex X="{x:g}" Y="{y:g}" Z="0"/>' for x, y in ring.coords[:-1])
            + "</Vertices></Region>"
            for i, (ring, is_hole) in enumerate(rings, start=1)
        )
        layers += (
            f'<Annotation Id="{number}" Name={quoteattr(name)} ReadOnly="0" Type="4" LineColor="65280" Visible="1">'
            f'<Attributes><Attribute Name="Description" Id="0" Value=""/></Attributes><Regions>{regions}</Regions>'
            "</Annotation>"
        )
    path.write_text(f'<Annotations MicronsPerPixel="0.5">{layers}</Annotations>', encoding="utf-8")
    return path


def coco(images, class_names):
    """The content of a COCO file of {file name: (objects, (rows, columns))}; objects with holes as run lengths."""
    categories = [{"id": 10 * i, "name": name} for i, name in enumerate(class_names, start=1)]
    ids = {each["name"]: each["id"] for each in categories}
    content = {"info": {}, "images": [], "annotations": [], "categories": categories}
    for number, (name, (objects, size)) in enumerate(images.items()):
        content["images"].append({"id": number, "file_name": name, "height": size[0], "width": size[1]})
        for class_name, polygon in objects:
            area = counts_of(polygon, size) if polygon.interiors else [np.ravel(polygon.exterior.coords[:-1]).tolist()]
            entry = {"id": len(content["annotations"]), "image_id": number, "category_id": ids[class_name]}
            content["annotations"].append({**entry, "segmentation": area, "iscrowd": int(isinstance(area, dict))})
    return content


def counts_of(polygon, size):
    """Uncompressed run lengths of a polygon."""
    starts, lengths = find_runs(paint([("", polygon)], [""], size).T.ravel())
    ends = np.column_stack([starts, starts + lengths]).ravel()
    return {"size": list(size), "counts": np.diff(ends, prepend=0, append=size[0] * size[1]).tolist()}


def box(left, top, right, bottom):
    return shapely.box(left, top, right, bottom)
