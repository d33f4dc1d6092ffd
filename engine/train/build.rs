//! Builds the C++ shim over libtorch.

fn main() {
    println!("cargo:rerun-if-changed=shim/shim.cpp");
    // torch-sys tells the folder of the libraries that it linked; the headers stand beside it
    let lib = std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys names libtorch's folder");
    let include = std::path::Path::new(&lib).parent().expect("lib has a parent").join("include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .flag_if_supported("-Wno-unused-parameter")
        .warnings(false)
        .file("shim/shim.cpp")
        .compile("dvshim");
}
