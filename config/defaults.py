"""Every option of the pipeline, in the order in which pixels meet it; the comment gives unit and effect."""

from yacs.config import CfgNode as Cn

_C = Cn()

_C.OUTPUT_DIR = "output/train"  # folder of training runs; each run writes a folder of its own in it
_C.RUN_NAME = ""  # name of the run's folder; empty: date and time
_C.SEED = 42  # seed of folds, weights, order and augmentation

# ---------------------------------------------------------------------------------------------------------------- cases
_C.DATASETS = Cn()
_C.DATASETS.LAYOUT = (
    "slides"  # how cases lie: 'slides', 'pairs' (images, masks), 'roboflow', 'decathlon', 'series' (DICOM), 'kaggle_3m'
)
_C.DATASETS.WSI_FOLDER = (
    "data/datasets/slides"  # folder of the slides; for pairs, the folder that the patterns start from
)
_C.DATASETS.LABELS_CSV = "data/datasets/train.csv"  # slides: run-length labels, a row a slide (and class)
_C.DATASETS.RLE_COLUMN = "encoding"  # column of LABELS_CSV that holds the run lengths
_C.DATASETS.LABELS_FOLDER = ""  # slides: folder of label files named like the slides, used in place of LABELS_CSV
_C.DATASETS.LABELS_COCO = ""  # COCO JSON with the labels of all images, used in place of LABELS_CSV and of MASKS
_C.DATASETS.IMAGES = "images/{name}.*"  # pairs: pattern of the images; {name} and, if there, {group} make the id
_C.DATASETS.MASKS = "masks/{name}.*"  # pairs, series: pattern of the masks
_C.DATASETS.SPLIT_SHARE = 0.8  # decathlon, series: share to learn from, drawn with SEED; the rest validates; 0: folds
_C.DATASETS.VALID_CASES = 10  # kaggle_3m: patients that validate, drawn with SEED; 0: folds
_C.DATASETS.ID_CSV = (
    ""  # ids to use, with columns group, split (train, valid, test, unlabelled), spacing_um; empty: all
)
_C.DATASETS.UNLABELLED_FOLDER = ""  # images without labels, laid out as LAYOUT says, to learn from by PSEUDO_LABELS
_C.DATASETS.PSEUDO_LABELS = ""  # folder that apps/pseudo_labels.py made of them; each fold learns from its own part
_C.DATASETS.GROUP_BY = (
    "group"  # column of ID_CSV whose equal values share a fold (patient, video); 'id': each case alone
)
_C.DATASETS.FOLDS_CSV = ""  # folds.csv of another run, whose folds are taken over; goes before FOLD_GROUPS and N_FOLDS
_C.DATASETS.FOLD_GROUPS = []  # groups of each fold, [['1', '3'], ['2', '5']]; empty: drawn with SEED
_C.DATASETS.CLASSES = ["object"]  # names of the classes, one output channel each
_C.DATASETS.LABEL_NAMES = [["Ignore*", "ignore"]]  # outlines: name in the file, its class (background, ignore, drop)
_C.DATASETS.MASK_THRESHOLD = 0  # mask images: a pixel of at least this value is foreground; 0: pixel values are classes
_C.DATASETS.MASK_VALUES = []  # mask images: pixel values of each class, [[10, 20, 30]]; empty: pixel values are classes
_C.DATASETS.CROP = []  # (row, column, rows, columns) at level 0 to which every image is cut; empty: the whole image
_C.DATASETS.CROP_TO = ""  # 'body': cut each volume to the box of the body; empty: CROP, or the whole image
_C.DATASETS.BODY_ABOVE = -500.0  # CROP_TO body: voxels above this value of the file (of CT: HU) are no air
_C.DATASETS.SPACING_UM = 0.0  # pixel size in um at level 0 that overrules the files, not ID_CSV; 0: as the files say
_C.DATASETS.HASHES = (
    True  # SHA-256 of all inputs into manifest.csv, a second a GB; copied images are refused; False: sizes
)
_C.DATASETS.TRAIN_FOLDER = "data/datasets/train"  # tiles: images_<size>_red<r> and masks_<size>_red<r> lie here

# ---------------------------------------------------------------------------------------------------------------- tiles
_C.TILES = Cn()
_C.TILES.REDUCTION = 4.0  # level-0 pixels per pixel of the network's image, along a side
_C.TILES.SPACING_UM = 0.0  # pixel size of the network's image in um, in place of REDUCTION; 0: use REDUCTION
_C.TILES.REDUCTIONS = []  # volumes: level-0 voxels per voxel by axis (z, row, column), [1, 2, 2], in place of REDUCTION
_C.TILES.SPACINGS_UM = []  # volumes: voxel size in um by axis, in place of REDUCTIONS; 0 leaves an axis as it is
_C.TILES.SIDES = []  # shape of the network's image by axis, [768, 768], in place of all above; 0: that axis as it is
_C.TILES.OVERLAP = 0  # pixels that neighbouring training tiles share at least
_C.TILES.SHIFTED_GRID = False  # cut a second grid as well, half a step from the first; its folders end in _shifted
_C.TILES.MIN_TISSUE = 0.05  # drop a tile with less tissue than this fraction of it, unless it is annotated; 0: keep all
_C.TILES.TISSUE = "saturation"  # how tissue is told from glass: 'saturation', or 'otsu' (which rejects pen marks, too)
_C.TILES.TISSUE_SATURATION = 20  # saturation: a pixel is tissue if its colour saturation (0 to 255) reaches this
_C.TILES.TISSUE_MIN_PIECE_UM2 = 5000.0  # otsu: a smaller piece is dust; um2, or level-0 pixels without a pixel size
_C.TILES.TISSUE_MAX_HOLE_UM2 = 10000.0  # otsu: a hole up to this belongs to the tissue; um2, or level-0 pixels
_C.TILES.TISSUE_REJECT_INK = True  # otsu: green, blue, red pen marks are no tissue; turn off for blue or green stains
_C.TILES.TISSUE_PX = 1024  # longest side in pixels of the picture on which tissue is sought

# ---------------------------------------------------------------------------------------------------------------- input
_C.INPUT = Cn()
_C.INPUT.SIZE_TRAIN = 256  # side of a training tile in pixels; a multiple of 32
_C.INPUT.PATCH = []  # volumes: sides of a training patch by axis (z, row, column), in place of SIZE_TRAIN
_C.INPUT.FROM = (
    "tiles"  # slides: cut 'tiles', or random 'crops' that need none; pairs: patches of a grid, or such crops; volumes:
    # also 'whole', one patch each, of PATCH or of the largest shape of all, rounded up to a multiple of 8, or 'slices',
    # for a network of pictures
)
_C.INPUT.PATCHES_PER_CASE = 16  # volumes: crops that an epoch draws from each, unless SOLVER.EPOCH_PATCHES is set
_C.INPUT.POSITIVE_SHARE = 0.5  # volumes: share of the crops that SOLVER.SAMPLING draws for their foreground
_C.INPUT.CROP_SCALE = 0.0  # crops are drawn up to this fraction larger or smaller than the network's scale
_C.INPUT.INTENSITY = ""  # volumes: what becomes 0 to 255: a 'window', the 'range', 'percentiles'; empty: bytes as is
_C.INPUT.WINDOW = [-1000.0, 400.0]  # INTENSITY window: values (of CT: HU) that become 0 and 255
_C.INPUT.PERCENTILES = [0.5, 99.5]  # INTENSITY percentiles: those of a volume's values that become 0 and 255
_C.INPUT.DIFFUSION = 0  # steps of Perona-Malik diffusion, which smooths speckle and keeps edges; the weights carry it
_C.INPUT.DIFFUSION_STEP = 1 / 7  # share of the differences to its neighbours that a pixel takes on in a step
_C.INPUT.DIFFUSION_KAPPA = 30.0  # difference of grey values (0 to 255) that is smoothed half as much as a slight one
_C.INPUT.HEAD_PX = 0  # brain MRI: make each volume its head, slices of so many px a side, z-scores by channel; 0: no
_C.INPUT.MEAN = []  # mean by channel, 0 to 1; empty: that of the training tiles
_C.INPUT.STD = []  # standard deviation by channel, 0 to 1; empty: that of the training tiles

# --------------------------------------------------------------------------------------------------------- augmentation
_C.AUGMENTATION = Cn()
_C.AUGMENTATION.SET = ""  # values of the keys below by name: 'none', 'light', 'seed' or 'heavy'; empty: as they stand
_C.AUGMENTATION.FLIP = 0.5  # probability of a mirror image, for each axis
_C.AUGMENTATION.FLIP_AXES = []  # axes that FLIP mirrors, of a volume [2], of a picture [1] for columns; empty: all
_C.AUGMENTATION.ROTATE90 = 0.5  # probability of a turn by a multiple of 90 degrees (volumes: in the plane of a slice)
_C.AUGMENTATION.AFFINE = 0.5  # probability of a shift, scale and rotation
_C.AUGMENTATION.AFFINE_SCALE = 0.1  # scale changes by at most this fraction
_C.AUGMENTATION.AFFINE_SHIFT = 0.06  # shift by at most this fraction of the side
_C.AUGMENTATION.AFFINE_DEGREES = 45.0  # rotation by at most this many degrees
_C.AUGMENTATION.PERSPECTIVE = 0.0  # probability of a change of perspective (not of volumes)
_C.AUGMENTATION.DISTORTION = 0.2  # probability of an elastic or grid distortion
_C.AUGMENTATION.NOISE = 0.2  # probability of Gaussian noise
_C.AUGMENTATION.BLUR = 0.2  # probability of a slight blur
_C.AUGMENTATION.HSV = 0.3  # probability of a change of hue, saturation and value (not of volumes)
_C.AUGMENTATION.CLAHE = 0.0  # probability of contrast-limited histogram equalisation (not of volumes)
_C.AUGMENTATION.BRIGHTNESS = 0.5  # probability of a change of brightness and contrast
_C.AUGMENTATION.GAMMA = 0.2  # probability of a change of gamma
_C.AUGMENTATION.STAIN = 0.0  # probability of a change of each stain's strength in optical density (RGB images)
_C.AUGMENTATION.STAIN_STRENGTH = 0.15  # each stain becomes weaker or stronger by at most this fraction
_C.AUGMENTATION.STAINS = "he"  # which stains: 'he' (haematoxylin and eosin) or 'pas' (haematoxylin and PAS)
_C.AUGMENTATION.MOTION = 0.0  # volumes: probability of the ghosts of a head that moved
_C.AUGMENTATION.BIAS_FIELD = 0.0  # volumes: probability of a brightness that changes slowly over the image
_C.AUGMENTATION.INTENSITY_SHIFT = 0.0  # volumes: probability of a shift of all intensities, up to a tenth of the range
_C.AUGMENTATION.CUTMIX = 0.0  # probability that a box of another patch, with its labels, is set into a patch

# ---------------------------------------------------------------------------------------------------------------- model
_C.MODEL = Cn()
_C.MODEL.ARCHITECTURE = (
    "UneXt101"  # UneXt101, UneXt50, UneXt18, UneXt (any encoder in stages), any of smp, 'monai-<name>' or 'BrainUnet'
)
_C.MODEL.ENCODER_NAME = "resnext101_32x16d"  # encoder of UneXt and smp networks; 'tu-<name>' takes a timm encoder
_C.MODEL.ENCODER_WEIGHTS = "ssl"  # pretrained weights: a name ('imagenet', 'ssl'), a local weight file, or None
_C.MODEL.ACTIVATION = "sigmoid"  # 'softmax': classes exclude each other; 'sigmoid' or 'None': each has one of its own
_C.MODEL.AXES = 2  # spatial axes of the images: 2 (row, column), or 3 for volumes (z, row, column)
_C.MODEL.IN_CHANNELS = 3  # channels of the image; with 1, colour images are read as grey values
_C.MODEL.CHANNELS = []  # monai: channels of each level, [16, 32, 64, 128]; UNETR: of convolutions, of the transformer
_C.MODEL.STRIDES = []  # monai-UNet, AttentionUnet, DynUNet: between levels, [2, [1, 2, 2], 2]; empty: 2 everywhere
_C.MODEL.RES_UNITS = 2  # monai-UNet: residual units a level; 0: two plain convolutions
_C.MODEL.NORM = ""  # monai: 'instance', 'batch' or 'group' norm; empty: the network's own
_C.MODEL.DROPOUT = 0.0  # monai: probability that a feature is left out in a training step
_C.MODEL.ANY_HEAD = 0.0  # weight of a loss that asks, in training, whether a patch holds a class at all; 0: none

# --------------------------------------------------------------------------------------------------------------- solver
_C.SOLVER = Cn()
_C.SOLVER.LOSS_FUNCTION_NAME = "bce_dice"  # a name of utils/losses.py
_C.SOLVER.LOSS_PARTS = []  # sum of losses times weights in place of the one named, [['bce', 1], ['tversky', 0.5]]
_C.SOLVER.DEEP_SUPERVISION = 0.0  # weight of the loss of masks from inner layers, in training; UneXt, U-Nets; 0: none
_C.SOLVER.POS_WEIGHT = 1.0  # weight of foreground in bce, also within bce_dice, bce_lovasz and LOSS_PARTS
_C.SOLVER.N_FOLDS = 4  # folds of the cross-validation; of no effect with FOLDS_CSV, FOLD_GROUPS or a split 'valid'
_C.SOLVER.FOLDS = []  # folds to train, [0, 2]; empty: all
_C.SOLVER.EPOCHS = 30  # passes over the training tiles
_C.SOLVER.EPOCH_PATCHES = 0  # patches that an epoch draws; 0: as many as there are to train on
_C.SOLVER.SAMPLING = (
    "all"  # what is drawn more often: 'all' alike, 'foreground', 'object_size' (rare sizes) or 'area';
    # crops of volumes: 'uniform', 'posneg' (about foreground), 'label' (about each class) or 'weighted' (by content);
    # 'slices': each case alike, its slices by their foreground
)
_C.SOLVER.SAMPLING_SHARE = 0.5  # share of every batch that SAMPLING rules; the rest: background, or of all alike
_C.SOLVER.PSEUDO = "hard"  # target of pseudo-labels: 'hard' (the weights' threshold) or 'soft' (the probability)
_C.SOLVER.PSEUDO_MARGIN = 0.1  # hard: pixels whose probability lies within this of the threshold are ignored
_C.SOLVER.PSEUDO_SHARE = 0.5  # share of an epoch that has pseudo-labels, which grows no longer by it
_C.SOLVER.BATCH_SIZE = 8  # tiles a step
_C.SOLVER.NUM_WORKERS = -1  # processes that load and augment; 0: only the main one; -1: 2 with a GPU, 0 on a CPU
_C.SOLVER.CACHE = "none"  # decode every patch in each epoch ('none'), or once: 'memory', or a 'disk' file in OUTPUT_DIR
_C.SOLVER.CACHE_GB = 4.0  # room of the cache in gigabytes; patches beyond it are decoded in each epoch
_C.SOLVER.OPTIMIZER = (
    "adamw"  # 'adamw' (decoupled weight decay), 'adam' (decay through the gradient) or 'sgd' (momentum)
)
_C.SOLVER.SCHEDULE = (
    "one_cycle"  # of the rate: 'one_cycle', 'cosine' (falls to 0), 'plateau' (falls where Dice rests) or 'constant'
)
_C.SOLVER.CYCLES = 1  # cosine: so often from the top, the weights at each end kept in snapshots/; divides EPOCHS
_C.SOLVER.PLATEAU_PATIENCE = 5  # plateau: the rate falls after this many epochs without a better validation Dice
_C.SOLVER.PLATEAU_FACTOR = 0.3  # plateau: by this factor
_C.SOLVER.LR = 1e-3  # highest learning rate of the schedule
_C.SOLVER.ENCODER_LR_FACTOR = 0.1  # the encoder learns at this fraction of LR
_C.SOLVER.FREEZE_EPOCHS = 0  # epochs at the start in which the encoder's weights stay as they are
_C.SOLVER.WEIGHT_DECAY = 1e-2  # weight decay
_C.SOLVER.ACCUMULATE = 1  # batches a step, by the mean of their gradients; batch norm sees each batch alone
_C.SOLVER.CLIP = 0.0  # longest norm of the gradient of all weights together; 0: any
_C.SOLVER.EMA = (
    0.0  # keep a mean of all steps, each counting this fraction of the next (0.99); 0: the weights themselves
)
_C.SOLVER.SWA_EPOCHS = 0  # keep the mean of the weights at the ends of this many last epochs; 0: the weights themselves
_C.SOLVER.PATIENCE = 0  # stop after this many epochs without a better validation Dice; 0: never
_C.SOLVER.KEEP = "best"  # epoch that predicts: 'best' by validation Dice, or 'last', which no case scored has chosen
_C.SOLVER.DICE_OVER = (
    "pixels"  # validation Dice by which an epoch is best: of all 'pixels' together, or the mean over whole 'cases', of
    # whose prediction with TEST.LARGEST the largest object alone counts
)
_C.SOLVER.TUNE = []  # tuned out of fold besides the threshold: 'classes' (one each), 'low', 'objects', 'holes' of TEST
_C.SOLVER.NESTED = False  # score each fold at the threshold and what TUNE names that the other folds choose
_C.SOLVER.CHECKPOINT_MINUTES = 10.0  # keep the state of training so often within an epoch, besides after each; 0: not
_C.SOLVER.FIND_LR = False  # plot loss against learning rate before each fold; changes nothing else
_C.SOLVER.SAMPLES_EVERY = 0  # draw sample pictures after every so many epochs; 0: only the best epoch's, at the end
_C.SOLVER.LOGGERS = []  # where to watch besides history.csv: any of 'tensorboard', 'wandb' (offline) and 'mlflow'
_C.SOLVER.MIXED_PRECISION = True  # half precision on a GPU; no effect on a CPU

# ----------------------------------------------------------------------------------------------------------------- test
_C.TEST = Cn()
_C.TEST.WSI_FOLDER = "data/datasets/test"  # folder of the cases to predict, laid out as DATASETS.LAYOUT says
_C.TEST.LABELS_CSV = ""  # run-length labels of those slides, if known; empty: none
_C.TEST.SPLIT = ""  # predict only the cases of this split of DATASETS.ID_CSV or of the layout ('test'); empty: all
_C.TEST.MODEL_WEIGHTS_FOLDER = "model/checkpoints"  # folder of the weights; all of them are averaged
_C.TEST.OUTPUT_DIR = "output/test"  # folder of the results
_C.TEST.TH = 0.0  # probability from which a pixel is foreground; 0: the tuned one that the weights carry
_C.TEST.TH_LOW = 0.0  # probability down to which an object that reaches TH extends; 0: as the weights say, else TH
_C.TEST.PATCH = 640  # largest side of a patch at prediction, in pixels of the network's image; a multiple of 32
_C.TEST.OVERLAP = 64  # pixels that neighbouring patches share and blend at least
_C.TEST.PATCHES = []  # sides of fixed patches by axis, in place of PATCH; empty: of volumes those of INPUT.PATCH
_C.TEST.OVERLAPS = []  # pixels that neighbours of these share by axis; empty: OVERLAP_SHARE
_C.TEST.OVERLAP_SHARE = 0.5  # share of a side that neighbours of these have in common, 0 to below 1
_C.TEST.BLEND = "linear"  # weight of a pixel within its patch: 'linear' slopes in the overlap, or 'gaussian'
_C.TEST.BATCH_SIZE = 1  # patches of equal size a forward pass at most; on a GPU 4 or more fill it better
_C.TEST.ENGINE = "auto"  # 'torch', 'bf16', 'fp16', 'compile', 'onnx' or 'openvino'; 'auto': as weights and machine suit
_C.TEST.EXPORT_FOLDER = ""  # export_net.py: pictures on which ONNX files are compared with torch, too; empty: none
_C.TEST.TTA = "none"  # average over 'none', 'flips' (4 forwards) or 'dihedral' (flips and quarter turns, 8)
_C.TEST.TTA_SCALES = [1.0]  # average over patches resampled by these factors, [1.0, 0.8, 1.25]; each costs its area
_C.TEST.MIN_OBJECT = 0  # remove objects of fewer pixels of the network's image; 0: as the weights say, else keep all
_C.TEST.MAX_HOLE = 0  # fill holes of at most this many pixels of the network's image; 0: as the weights say, else none
_C.TEST.LARGEST = False  # of each class keep the largest object only; here pixels belong together that share a face
_C.TEST.SURFACE_TOLERANCE_UM = 1000.0  # volumes: surfaces at most so many um apart agree, in the surface Dice
_C.TEST.OVERLAY_PX = 1600  # longest side of the overlay and preview pictures in pixels
_C.TEST.WRITE = (
    [
        "tiff",
        "rle",
        "geojson",
        "objects",
        "preview",
        "nifti",
        "gif",
    ]  # what is written of each mask, and 'ome' (OME-TIFF);
    # volumes have 'nifti' (on the grid of their file), 'gif' (a frame a slice) and 'slices' (PNG), pictures the others
)
_C.TEST.GIF_AXIS = 0  # axis of a volume along which the frames of its GIF follow: 0 (z), 1 (row) or 2 (column)
_C.TEST.OBJECT_TYPE = "annotation"  # objects in QuPath: 'annotation' (to correct) or 'detection' (for very many)
_C.TEST.SIMPLIFY = 0.0  # GeoJSON outlines may lie so many level-0 pixels off the mask's, with fewer corners; 0: exact

# ---------------------------------------------------------------------------------------------------------------- serve
_C.SERVE = Cn()
_C.SERVE.HOST = "127.0.0.1"  # address that the web API listens on; this one is reached from the same machine alone
_C.SERVE.PORT = 8000  # port that it listens on; 0: any free one
_C.SERVE.MEGAPIXELS = 64.0  # largest picture, in millions of pixels, that the web API and the apps take
_C.SERVE.MEGABYTES = 32.0  # largest request that the web API takes, in millions of bytes
_C.SERVE.QUEUE = 8  # requests that may be in work or wait at once; more are answered with 429
_C.SERVE.UPLOAD_SECONDS = 60.0  # time in which a request must have arrived
