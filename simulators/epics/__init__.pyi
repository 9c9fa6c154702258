from .fake_motor import FakeMotor as FakeMotor
from .fake_motor import animate as animate
from .ioc import process_variables as process_variables
from .ioc import serve as serve
from .motor_record import MotorRecord as MotorRecord
