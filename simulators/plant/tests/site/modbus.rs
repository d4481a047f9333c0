//! The devices over real sockets: read by an independent client, decoded by hand.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use ::modbus::{Client, Coil};
use hallwatch_plant::DeviceId;

use crate::support::Site;

/// Two words, high word first, as an IEEE 754 single.
fn float(words: &[u16]) -> f64 {
    f64::from(f32::from_bits(u32::from(words[0]) << 16 | u32::from(words[1])))
}

fn long(words: &[u16]) -> u32 {
    u32::from(words[0]) << 16 | u32::from(words[1])
}

fn text(words: &[u16]) -> String {
    let bytes = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    String::from_utf8(bytes).unwrap()
}

fn near(read: f64, truth: f64, tolerance: f64) {
    assert!((read - truth).abs() <= tolerance, "read {read}, is {truth}");
}

/// Sends one PDU to unit 1 and returns the PDU that comes back.
fn ask(address: SocketAddr, pdu: &[u8]) -> Vec<u8> {
    ask_unit(address, 1, pdu).unwrap()
}

fn ask_unit(address: SocketAddr, unit: u8, pdu: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_millis(700)))?;
    let length = u8::try_from(pdu.len() + 1).unwrap();
    let mut frame = vec![0x12, 0x34, 0, 0, 0, length, unit];
    frame.extend_from_slice(pdu);
    stream.write_all(&frame)?;
    let mut header = [0; 7];
    stream.read_exact(&mut header)?;
    assert_eq!(header[..4], [0x12, 0x34, 0, 0], "transaction and protocol");
    assert_eq!(header[6], unit);
    let mut answer = vec![0; usize::from(header[4]) << 8 | usize::from(header[5])];
    answer.pop();
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// A read request: function, address, quantity.
fn read(function: u8, address: u16, quantity: u16) -> Vec<u8> {
    let mut pdu = vec![function];
    pdu.extend_from_slice(&address.to_be_bytes());
    pdu.extend_from_slice(&quantity.to_be_bytes());
    pdu
}

#[test]
fn the_utility_meter_gives_floats_in_kilowatts_volts_and_hertz() {
    let site = Site::start();
    let mut meter = site.client(DeviceId::UtilityMeter);
    let watts = site.plant.view(|hall| hall.utility_watts());
    near(1000.0 * float(&meter.read_holding_registers(3059, 2).unwrap()), watts, 300.0);
    assert!(watts > 9_000.0);
    let volts = site.plant.view(|hall| hall.utility.phase_volts(2));
    near(float(&meter.read_holding_registers(3031, 2).unwrap()), volts, 0.5);
    near(float(&meter.read_holding_registers(3019, 2).unwrap()), 400.0, 12.0);
    near(float(&meter.read_holding_registers(3109, 2).unwrap()), 50.0, 0.3);
    assert_eq!(text(&meter.read_holding_registers(49, 3).unwrap()), "PM5560");
    // Power is volts times amperes times power factor, over all phases.
    let block = meter.read_holding_registers(2999, 6).unwrap();
    let amperes: f64 = block.chunks(2).map(float).sum();
    near(amperes * volts * 0.95, watts, 400.0);
    let energy = float(&meter.read_holding_registers(2699, 2).unwrap());
    near(energy, site.plant.view(|hall| hall.meter_wh()) / 1000.0, 1.0);
    site.plant.cause("utility-off").unwrap();
    site.plant.step(Duration::from_secs(1));
    let words = meter.read_holding_registers(3027, 2).unwrap();
    assert_eq!(words, [0, 0]);
}

#[test]
fn each_phase_lies_at_its_own_address() {
    let site = Site::start();
    let mut meter = site.client(DeviceId::UtilityMeter);
    let mut at = |address| float(&meter.read_holding_registers(address, 2).unwrap());
    let total = at(3059);
    // Phase 1 carries more than 2, and 2 more than 3.
    for (phase, share) in [(0_u16, 0.345), (1, 0.330), (2, 0.325)] {
        let volts = site.plant.view(|hall| hall.utility.phase_volts(usize::from(phase)));
        near(at(3027 + 2 * phase), volts, 0.3);
        near(at(3053 + 2 * phase) / total, share, 0.002);
        near(at(2999 + 2 * phase) * volts * 0.95 / 1000.0 / total, share, 0.003);
    }
    near(at(3035) * 3.0_f64.sqrt(), at(3025), 1.0);
    near(at(3075) * at(3083), total, 0.3);
    near((total * total + at(3067) * at(3067)).sqrt(), at(3075), 0.3);

    site.plant.cause("utility-off").unwrap();
    site.plant.step(Duration::from_secs(60));
    let mut controller = site.client(DeviceId::Generator);
    let mut at = |address| f64::from(long(&controller.read_holding_registers(address, 2).unwrap()));
    let total = at(1536);
    for (phase, share) in [(0_u16, 0.345), (1, 0.330), (2, 0.325)] {
        near(at(1052 + 2 * phase) / total, share, 0.005);
        near(at(1044 + 2 * phase) / 10.0 * 230.0 * 0.95 / total, share, 0.005);
    }
    let alive = at(1798);
    site.plant.step(Duration::from_secs(3_600));
    near(at(1798) - alive, 3_600.0, 5.0);
    assert!(at(1800) > 98_765.0 + 100.0, "an hour of 10 kW and more, in 0.1 kWh");
}

#[test]
fn the_transfer_switch_answers_functions_3_and_4() {
    let site = Site::start();
    let mut ats = site.client(DeviceId::Ats);
    // Automatic, line 1 good, load on line 1, mains breaker closed, AC supply.
    let rest = 1 << 2 | 1 << 4 | 1 << 8 | 1 << 10 | 1 << 13;
    assert_eq!(long(&ats.read_holding_registers(8720, 2).unwrap()), rest);
    assert_eq!(long(&ats.read_input_registers(8720, 2).unwrap()), rest);
    site.plant.cause("utility-off").unwrap();
    site.plant.step(Duration::from_secs(60));
    // Line 2 good, load on line 2, generator breaker closed, calls generator, line 1 gone.
    let line_2 = 1 << 2 | 1 << 5 | 1 << 9 | 1 << 11 | 1 << 13 | 1 << 14 | 1 << 17 | 1 << 20;
    assert_eq!(long(&ats.read_holding_registers(8720, 2).unwrap()), line_2);
    assert_eq!(ask(site.address(DeviceId::Ats), &read(3, 8719, 1)), [0x83, 2]);
}

#[test]
fn the_generator_speaks_gencomm() {
    let site = Site::start();
    let mut controller = site.client(DeviceId::Generator);
    assert_eq!(controller.read_holding_registers(768, 2).unwrap(), [1, 32_808]);
    assert_eq!(controller.read_holding_registers(772, 1).unwrap(), [1]);
    assert_eq!(controller.read_holding_registers(1408, 1).unwrap(), [0]);
    assert_eq!(controller.read_holding_registers(1027, 1).unwrap(), [86]);
    near(f64::from(controller.read_holding_registers(1029, 1).unwrap()[0]), 274.0, 1.0);
    // What a controller does not have is the sentinel, inside the pages that it has.
    assert_eq!(controller.read_holding_registers(1028, 1).unwrap(), [0xffff]);
    assert_eq!(ask(site.address(DeviceId::Generator), &read(3, 20_000, 1)), [0x83, 2]);

    site.plant.cause("utility-off").unwrap();
    site.plant.step(Duration::from_secs(60));
    assert_eq!(controller.read_holding_registers(1408, 1).unwrap(), [3]);
    let block = controller.read_holding_registers(1030, 8).unwrap();
    near(f64::from(block[0]), 1500.0, 30.0);
    near(f64::from(block[1]), 500.0, 12.0);
    near(f64::from(long(&block[2..])) / 10.0, 230.0, 1.0);
    let watts = site.plant.view(|hall| hall.generator.load_watts());
    near(f64::from(long(&controller.read_holding_registers(1536, 2).unwrap())), watts, 300.0);
    let share = controller.read_holding_registers(1558, 1).unwrap()[0];
    near(f64::from(share) / 10.0, watts / 240.0, 2.0);
}

#[test]
fn a_failed_start_and_low_fuel_are_alarms_of_page_154() {
    let site = Site::start();
    for fault in ["generator-will-not-start", "generator-low-fuel", "utility-off"] {
        site.plant.cause(fault).unwrap();
    }
    site.plant.step(Duration::from_secs(60));
    let alarms = site.client(DeviceId::Generator).read_holding_registers(39_425, 11).unwrap();
    assert_eq!(alarms[0], 0x1111, "no alarm is 1");
    assert_eq!(alarms[3], 0x1311, "fail to start is a shutdown alarm");
    assert_eq!(alarms[5], 0x112f, "low fuel is a warning");
}

#[test]
fn a_ups_gives_binary_fractions() {
    let site = Site::start();
    let mut ups = site.client(DeviceId::UpsA);
    assert_eq!(long(&ups.read_holding_registers(0, 2).unwrap()), 1 << 1, "online");
    assert_eq!(ups.read_holding_registers(130, 1).unwrap(), [51_200], "100 % in 1/512");
    assert_eq!(ups.read_holding_registers(142, 1).unwrap(), [14_720], "230 V in 1/64");
    assert_eq!(ups.read_holding_registers(144, 1).unwrap(), [6_400], "50 Hz in 1/128");
    let (runtime, load, battery) = site.plant.view(|hall| {
        let ups = &hall.ups[0];
        (ups.runtime_seconds(), ups.load_watts(), ups.battery().volts())
    });
    near(f64::from(long(&ups.read_holding_registers(128, 2).unwrap())), runtime, 30.0);
    let percent = f64::from(ups.read_holding_registers(136, 1).unwrap()[0]) / 256.0;
    near(percent, load / 100.0, 2.0);
    near(f64::from(ups.read_holding_registers(131, 1).unwrap()[0]) / 32.0, battery, 0.1);
    assert_eq!(text(&ups.read_holding_registers(532, 16).unwrap()).trim(), "Smart-UPS SRT 10000");
    assert_eq!(text(&ups.read_holding_registers(596, 8).unwrap()), "UPS A           ");
    assert_eq!(
        text(&site.client(DeviceId::UpsB).read_holding_registers(596, 3).unwrap()),
        "UPS B "
    );

    site.plant.cause("ups-a-battery-weak").unwrap();
    site.plant.cause("utility-off").unwrap();
    site.plant.step(Duration::from_secs(3));
    // On battery, general fault, input not acceptable.
    assert_eq!(long(&ups.read_holding_registers(0, 2).unwrap()), 1 << 2 | 1 << 5 | 1 << 6);
    assert_eq!(ups.read_holding_registers(2, 1).unwrap(), [2], "low input voltage");
    assert_eq!(ups.read_holding_registers(22, 1).unwrap(), [1 << 2], "battery to be replaced");
    assert_eq!(ups.read_holding_registers(151, 1).unwrap(), [0]);
    let reason = ups.read_holding_registers(154, 1).unwrap()[0];
    assert_eq!(reason, 0xfffc, "no efficiency on battery: -4");
}

#[test]
fn a_ups_answers_only_its_unit_and_at_most_120_registers() {
    let site = Site::start();
    let address = site.address(DeviceId::UpsB);
    assert_eq!(ask(address, &read(3, 0, 120))[..2], [3, 240]);
    assert_eq!(ask(address, &read(3, 0, 121)), [0x83, 3]);
    assert_eq!(ask(address, &read(3, 0, 0)), [0x83, 3]);
    // An undefined register is an error alone, and zero inside a block that begins well.
    assert_eq!(ask(address, &read(3, 5, 1)), [0x83, 2]);
    assert_eq!(ask(address, &read(3, 132, 2)), [0x83, 2]);
    assert_eq!(ask(address, &read(3, 131, 3))[4..6], [0, 0]);
    assert_eq!(ask(address, &read(4, 0, 1)), [0x84, 1]);
    assert!(ask_unit(address, 2, &read(3, 0, 1)).is_err(), "another unit's question");
    // The switch is alone behind its address and does not care.
    assert_eq!(ask_unit(site.address(DeviceId::Ats), 77, &read(3, 8720, 2)).unwrap()[..2], [3, 4]);
}

#[test]
fn a_rack_pdu_gives_floats_at_hexadecimal_addresses() {
    let site = Site::start();
    let mut pdu = site.client(DeviceId::PduB2);
    assert_eq!(pdu.read_holding_registers(0, 5).unwrap(), [3, 1, 1, 8, 0]);
    near(float(&pdu.read_holding_registers(0x3008, 2).unwrap()), 230.0, 0.01);
    let watts = site.plant.view(|hall| hall.racks.pdus()[3].watts());
    near(float(&pdu.read_holding_registers(0x3012, 2).unwrap()), watts, 60.0);
    let amperes = float(&pdu.read_holding_registers(0x300a, 2).unwrap());
    near(amperes * 230.0 * 0.97, watts, 60.0);
    near(8.0 * float(&pdu.read_holding_registers(0x8012, 2).unwrap()), watts, 60.0);
    let address = site.address(DeviceId::PduB2);
    for (start, quantity) in [(5, 1), (4, 2), (0x2001, 1), (0x3007, 2), (0x3008, 31)] {
        assert_eq!(ask(address, &read(3, start, quantity)), [0x83, 2], "{start:#x}");
    }
    let identity = ask(address, &[0x2b, 0x0e, 1, 0]);
    assert_eq!(identity[..8], [0x2b, 0x0e, 1, 1, 0, 0, 3, 0]);
    assert_eq!(identity[9..16], *b"Raritan");

    site.plant.cause("pdu-a1-off").unwrap();
    site.plant.step(Duration::from_secs(1));
    let dead = site.client(DeviceId::PduA1).read_holding_registers(0x3008, 4).unwrap();
    assert_eq!(dead, [0, 0, 0, 0]);
}

#[test]
fn a_cooling_unit_has_input_registers_and_discrete_inputs() {
    let site = Site::start();
    let mut unit = site.client(DeviceId::Crac2);
    let (warm, cold, heat) = site.plant.view(|hall| {
        let unit = &hall.cooling[1];
        (unit.return_celsius(), unit.supply_celsius(), unit.heat_watts())
    });
    let temperatures = unit.read_input_registers(564, 2).unwrap();
    near(f64::from(temperatures[0]) / 10.0, warm, 0.2);
    near(f64::from(temperatures[1]) / 10.0, cold, 0.2);
    near(f64::from(long(&unit.read_input_registers(1000, 2).unwrap())) * 100.0, heat, 150.0);
    near(f64::from(unit.read_input_registers(1059, 1).unwrap()[0]) / 10.0, 400.0, 12.0);
    assert_eq!(unit.read_input_registers(262, 1).unwrap(), [27]);
    assert_eq!(unit.read_input_registers(268, 1).unwrap(), [1]);
    assert_eq!(unit.read_discrete_inputs(97, 1).unwrap(), [Coil::Off]);
    let address = site.address(DeviceId::Crac2);
    assert_eq!(ask(address, &read(4, 264, 1)), [0x84, 2]);
    assert_eq!(ask(address, &read(3, 262, 1)), [0x83, 1]);
    assert_eq!(ask(address, &read(2, 97, 3)), [0x82, 2]);

    site.plant.cause("crac-2-stops").unwrap();
    site.plant.step(Duration::from_secs(30));
    assert_eq!(unit.read_discrete_inputs(97, 1).unwrap(), [Coil::On]);
    assert_eq!(unit.read_discrete_inputs(217, 1).unwrap(), [Coil::On]);
    assert_eq!(unit.read_input_registers(268, 1).unwrap(), [0]);
}

#[test]
fn no_device_can_be_written() {
    let site = Site::start();
    let writes: [&[u8]; 6] = [
        &[5, 0, 0, 0xff, 0],
        &[6, 0, 0, 0, 1],
        &[15, 0, 0, 0, 1, 1, 1],
        &[16, 0, 0, 0, 1, 2, 0, 1],
        &[22, 0, 0, 0, 1, 0, 1],
        &[23, 0, 0, 0, 1, 0, 0, 0, 1, 2, 0, 1],
    ];
    for device in DeviceId::ALL {
        for write in writes {
            assert_eq!(ask(site.address(device), write), [write[0] | 0x80, 1], "{device}");
        }
        assert_eq!(ask(site.address(device), &read(1, 0, 1)), [0x81, 1], "{device}");
    }
}

#[test]
fn a_register_can_be_overridden_and_released() {
    let site = Site::start();
    let mut ups = site.client(DeviceId::UpsA);
    site.plant.override_register("ups-a", 130, 25_600).unwrap();
    assert_eq!(ups.read_holding_registers(130, 1).unwrap(), [25_600]);
    // Also within a block, and one half of a value alone.
    site.plant.override_register("ups-a", 128, 7).unwrap();
    let block = ups.read_holding_registers(128, 3).unwrap();
    assert_eq!((block[0], block[2]), (7, 25_600));
    site.plant.release_register("ups-a", 130).unwrap();
    assert_eq!(ups.read_holding_registers(130, 1).unwrap(), [51_200]);
    let other = site.client(DeviceId::UpsB).read_holding_registers(128, 1).unwrap();
    assert_eq!(other, [0]);
    let unknown = site.plant.override_register("ups-a", 5, 1).unwrap_err();
    assert_eq!(unknown.to_string(), "ups-a has no register 5");
    let unknown = site.plant.override_register("ups-c", 5, 1).unwrap_err();
    assert!(unknown.to_string().contains("known are utility-meter, ats"), "{unknown}");
}

#[test]
fn a_hanging_device_accepts_and_never_answers_and_its_neighbours_do() {
    let site = Site::start();
    let address = site.address(DeviceId::PduA2);
    site.plant.cause("device-hangs-pdu-a2").unwrap();
    let silence = ask_unit(address, 1, &read(3, 0, 1)).unwrap_err();
    assert_eq!(silence.kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(ask(site.address(DeviceId::PduA1), &read(3, 0, 1)), [3, 2, 0, 3]);
    site.plant.end("device-hangs-pdu-a2").unwrap();
    assert_eq!(ask(address, &read(3, 0, 1)), [3, 2, 0, 3]);
}

#[test]
fn a_late_answer_is_the_answer_to_its_own_question() {
    let site = Site::start();
    let address = site.address(DeviceId::UpsA);
    site.plant.cause("device-late-ups-a").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    stream.write_all(&[0, 7, 0, 0, 0, 6, 1, 3, 0, 130, 0, 1]).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut answer = [0; 11];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [0, 7, 0, 0, 0, 5, 1, 3, 2, 200, 0]);
}

#[test]
fn shutdown_ends_open_connections() {
    let mut site = Site::start();
    let mut open: Vec<TcpStream> =
        DeviceId::ALL.map(|device| TcpStream::connect(site.address(device)).unwrap()).into();
    for stream in &mut open {
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        // Refused or not, answered: the connection is in use.
        stream.write_all(&[0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 1]).unwrap();
        stream.read_exact(&mut [0; 9]).unwrap();
    }
    site.stop();
    for stream in &mut open {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.len() <= 2, "{rest:?}");
    }
}

#[test]
fn a_device_keeps_a_bounded_number_of_connections() {
    let site = Site::start();
    let address = site.address(DeviceId::Crac1);
    let request = [0, 1, 0, 0, 0, 6, 1, 4, 1, 6, 0, 1];
    let served = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(&request).is_ok() && stream.read_exact(&mut [0; 11]).is_ok()
    };
    let mut open: Vec<TcpStream> = Vec::new();
    for _ in 0..16 {
        let mut stream = TcpStream::connect(address).unwrap();
        assert!(served(&mut stream));
        open.push(stream);
    }
    assert!(!served(&mut TcpStream::connect(address).unwrap()), "a seventeenth");
    assert!(open.iter_mut().all(served), "the others go on");
}

#[test]
fn a_device_that_goes_closes_old_and_new_connections() {
    let site = Site::start();
    let address = site.address(DeviceId::UpsA);
    let mut old = TcpStream::connect(address).unwrap();
    old.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // The connection is served before the device goes.
    old.write_all(&[0, 1, 0, 0, 0, 6, 1, 3, 0, 130, 0, 1]).unwrap();
    old.read_exact(&mut [0; 11]).unwrap();
    site.plant.cause("device-gone-ups-a").unwrap();
    assert_eq!(old.read(&mut [0; 1]).unwrap(), 0);
    assert!(ask_unit(address, 1, &read(3, 0, 1)).is_err());
    site.plant.end("device-gone-ups-a").unwrap();
    assert_eq!(ask(address, &read(3, 130, 1)), [3, 2, 200, 0]);
}

#[test]
fn garbage_is_garbage() {
    let site = Site::start();
    site.plant.cause("device-garbage-ats").unwrap();
    let mut stream = TcpStream::connect(site.address(DeviceId::Ats)).unwrap();
    stream.write_all(&[0, 1, 0, 0, 0, 6, 1, 3, 0x22, 0x10, 0, 2]).unwrap();
    let mut answer = [0; 13];
    stream.read_exact(&mut answer).unwrap();
    assert_ne!(answer[..4], [0, 1, 0, 0]);
}

#[test]
fn hostile_frames_end_their_connection_and_no_other() {
    let site = Site::start();
    let address = site.address(DeviceId::Generator);
    let frames: [&[u8]; 6] = [
        // A quantity whose byte count does not fit 16 bits.
        &[0, 1, 0, 0, 0, 9, 1, 16, 0, 0, 0x80, 1, 2, 0, 0],
        &[0, 1, 0, 0, 0, 0, 1],
        &[0, 1, 9, 9, 0, 6, 1, 3, 0, 0, 0, 1],
        &[0, 1, 0, 0, 0, 2, 1, 0xff],
        &[0, 1, 0, 0, 0, 7, 1, 3, 0, 0, 0, 1, 0],
        &[0, 1, 0, 0, 0, 3, 1, 16, 0],
    ];
    for frame in frames {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(frame).unwrap();
        let mut answer = Vec::new();
        // Closed, whether by an end of stream or by a reset.
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{frame:?} was answered");
    }
    // Registers up to the very last address exist or do not; none wraps around.
    assert_eq!(ask(address, &read(3, 65_535, 2)), [0x83, 2]);
    assert_eq!(ask(address, &read(3, 768, 126)), [0x83, 3]);
}
