"""Small volumes for the tests: asymmetric, in oblique frames, with axes in any order and direction."""

import gzip
import itertools

import numpy as np

# order of the file's axes in the patient and whether each is flipped: all 48
ORDERS = [(axes, flips) for axes in itertools.permutations(range(3)) for flips in itertools.product((1, -1), repeat=3)]


def phantom(shape=(7, 9, 11), seed=0):
    """Values that no turn or mirror image repeats."""
    return np.random.default_rng(seed).integers(-1000, 1000, shape, np.int16)


def turn(x=0.0, y=0.0, z=0.0):
    """A rotation matrix of angles in radians about the three axes."""
    (a, b, c), (d, e, f) = np.cos([x, y, z]), np.sin([x, y, z])
    about_x = np.array([[1, 0, 0], [0, a, -d], [0, d, a]])
    about_y = np.array([[b, 0, e], [0, 1, 0], [-e, 0, b]])
    return np.array([[c, -f, 0], [f, c, 0], [0, 0, 1]]) @ about_y @ about_x


def oblique(axes=(0, 1, 2), flips=(1, 1, 1), spacing_mm=(1.0, 1.5, 2.5), origin=(-30.0, 12.5, 410.0)):
    """An affine of a tilted volume whose file axis k runs, nearly, along world axis axes[k]."""
    affine = np.eye(4)
    columns = np.eye(3)[:, list(axes)] * np.array(flips) * np.array(spacing_mm)
    affine[:3, :3] = turn(0.2, -0.15, 0.1) @ columns
    affine[:3, 3] = origin
    return affine


def write_nifti(path, array, affine=None):
    """A NIfTI file."""
    import nibabel

    nibabel.save(nibabel.Nifti1Image(array, oblique() if affine is None else affine), path)
    return path


def patch(path, offset, values):
    """Overwrite bytes of a NIfTI file, compressed or not, by those of an array."""
    packed = path.suffix == ".gz"
    content = bytearray(gzip.decompress(path.read_bytes()) if packed else path.read_bytes())
    content[offset : offset + values.nbytes] = values.tobytes()
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


def write_itk(path, array, affine=None, **options):
    """An NRRD or MetaImage file of the same content as `write_nifti` makes."""
    import SimpleITK

    lps = np.diag([-1, -1, 1, 1]) @ (oblique() if affine is None else affine)
    image = SimpleITK.GetImageFromArray(array.transpose(2, 1, 0))
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    SimpleITK.WriteImage(image, str(path), **options)
    return path


def write_series(folder, array, affine=None, intercept=-1024, **more):
    """A folder of DICOM slices, in an order of names that is not theirs, with the content of `write_nifti`.

    `more` are further elements of every header.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    lps = np.diag([-1, -1, 1, 1]) @ (oblique() if affine is None else affine)
    sides = np.linalg.norm(lps[:3, :3], axis=0)
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(array.shape[2]):
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = CTImageStorage
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = f"1.2.3.{k + 1}"
        data.Modality, data.SeriesInstanceUID, data.SeriesDescription = "CT", "1.2.3", "chest"
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.Rows, data.Columns = array.shape[1], array.shape[0]
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
        data.RescaleSlope, data.RescaleIntercept = 1, intercept
        data.PixelSpacing = [f"{sides[1]:.6f}", f"{sides[0]:.6f}"]
        data.ImageOrientationPatient = [f"{each:.10f}" for each in (lps[:3, :2] / sides[:2]).T.ravel()]
        data.ImagePositionPatient = [f"{each:.8f}" for each in lps[:3, 3] + k * lps[:3, 2]]
        data.PixelData = (array[:, :, k].T - intercept).astype(np.uint16).tobytes()
        for name, value in more.items():
            setattr(data, name, value)
        data.save_as(folder / f"{7 * k % array.shape[2]:03d}_{k}.dcm", enforce_file_format=True)
    return folder
