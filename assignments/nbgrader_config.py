"""nbgrader's settings for this course; nbgrader reads them when it is started in this folder."""

import os
import sys
import warnings
from pathlib import Path

from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbgrader.converters import Autograde
from nbgrader.preprocessors import Execute
from sqlalchemy.exc import SAWarning

from hashlib_nb.course.grading import ExecuteSubmission, MendMarks
from hashlib_nb.course.marks import TEMPLATES, Feedback, Table

c = get_config()  # noqa: F821, nbgrader puts it here

c.CourseDirectory.course_id = "hashlib_nb"
c.CourseDirectory.root = str(Path(__file__).resolve().parent)

# nbgrader calls "alembic" by name to make the gradebook; it must be found where the environment is not activated, too.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])

# nbgrader makes a submission's rows before it puts them into its session, and sqlalchemy says so of each new one.
warnings.filterwarnings("ignore", "Object of type <Submitted", SAWarning)

# Every check takes under a second on a laptop; 30 s leave a slow and busy machine its time. An endless loop takes all
# of them in each of its task's two or three cells: for thirty submissions with one each, half an hour or more. The
# set-up cell, which is ours, has more: where the package runs for the first time, it compiles its kernels there. The
# open task's experiment takes seconds where the machine is idle, and is graded by hand.
CELL_SECONDS = 30
OTHER_SECONDS = {"setup": 300, "experiment": 180}


def seconds_allowed(cell):
    """Seconds that a cell may run."""
    return OTHER_SECONDS.get(cell.metadata.get("nbgrader", {}).get("grade_id"), CELL_SECONDS)


TOO_LONG = (
    f"this cell ran for more than {CELL_SECONDS} s and was stopped.\n"
    "The traceback above shows where; most often that is a loop without an end."
)
c.Execute.timeout_func = seconds_allowed
c.Execute.interrupt_on_timeout = True  # stop the cell alone; what follows still runs
c.Execute.error_on_timeout = {
    "ename": "CellTimeoutError",
    "evalue": TOO_LONG,
    "traceback": [f"CellTimeoutError: {TOO_LONG}"],
}
c.Execute.shutdown_kernel = "immediate"
c.Execute.extra_arguments = ["--log-level=ERROR"]  # else each kernel warns that it listens to this machine unencrypted

# File names as learning platforms make them, and people: ada_01_hash_codes.ipynb, ada/01_hash_codes.ipynb, Moodle's
# "Ada Lovelace_4242_assignsubmission_file/01_hash_codes.ipynb", Canvas' lovelaceada_4242_1234_01_hash_codes-1.ipynb.
c.FileNameCollectorPlugin.named_regexp = (
    r".*/extracted/(?:.*/)?(?P<student_id>[^/_]+)[/_].*?(?P<file_id>\d\d_[a-z_]*[a-z])[^/]*\.ipynb$"
)

traits = Autograde.class_traits()
c.Autograde.sanitize_preprocessors = [MendMarks, *traits["sanitize_preprocessors"].default()]
steps = traits["autograde_preprocessors"].default()
c.Autograde.autograde_preprocessors = [ExecuteSubmission if step is Execute else step for step in steps]

# An answer that nobody has read yet is not worth 0, in the feedback as in the table of marks.
c.GenerateFeedback.preprocessors = [Feedback, CSSHTMLHeaderPreprocessor]
c.HTMLExporter.template_name = "feedback_page"
c.HTMLExporter.extra_template_basedirs = [str(TEMPLATES)]
c.ExportApp.plugin_class = Table
