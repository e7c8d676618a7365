#include "subject.h"
const struct subject_kind subject_box;
