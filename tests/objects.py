"""Objects of arrays, and arrays of objects, by way of shapely and rasterio."""

import numpy as np
from rasterio.features import rasterize
from shapely.geometry import MultiPolygon, Polygon

from data.stitching.objects import ObjectFinder


def find_in_strips(mask, rows, weigh=None):
    """The objects of a mask (row, column) that is given so many rows at a time."""
    finder = ObjectFinder(mask.shape[1])
    strips = (mask[row : row + rows] for row in range(0, len(mask), rows))
    found = [each for strip in strips for each in finder.add(strip, weigh)]
    return found + finder.finish()


def geometry(polygons):
    """The polygons of an object in (x, y)."""
    return MultiPolygon([Polygon(outer[:, ::-1], [hole[:, ::-1] for hole in holes]) for outer, *holes in polygons])


def rasterized(objects, shape):
    """The mask that rasterio makes of objects, by the middles of pixels; no two objects may share one."""
    mask = np.zeros(shape, np.uint8)
    for each in objects:
        own = rasterize([geometry(each.polygons)], shape) > 0
        assert not mask[own].any()
        mask[own] = each.class_index
    return mask
